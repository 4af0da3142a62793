package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// full returns as many values as a session can hold.
func full() map[string]any {
	all := map[string]any{"kept": 2}
	for i := range 1023 {
		all[fmt.Sprint(i)] = i
	}
	return all
}

// A refusal is a login of ada that a store must refuse.
type refusal struct {
	why  error
	what string
	l    session.Login
}

// refusals returns every kind of refusal. Ada has one session, with the id taken, and was
// revoked after began. The last four are about values.
func refusals(taken string, began time.Time) []refusal {
	overfull := full()
	delete(overfull, "kept")
	overfull["one more"] = 1
	changed := map[string]any{"kept": 2}
	return []refusal{
		{session.ErrRevoked, "whose check began before a revocation", session.Login{User: "ada", Values: changed, Began: began}},
		{session.ErrUserLimit, "beyond MaxSessions", session.Login{User: "ada", Values: changed, MaxSessions: 1}},
		{session.ErrExists, "with an id in use", session.Login{User: "ada", Values: changed, ID: taken}},
		{session.ErrNotFound, "with Reauthentication of an anonymous session", session.Login{User: "ada", Values: changed, Reauthentication: true}},
		{session.ErrValue, "with a value that cannot be stored", session.Login{User: "ada", Values: map[string]any{"kept": 2, "bad": func() {}}}},
		{session.ErrTooLarge, "with a value over 1 MiB", session.Login{User: "ada", Values: map[string]any{"kept": 2, "large": strings.Repeat("v", 1<<20)}}},
		{session.ErrTooLarge, "with a key over 256 bytes", session.Login{User: "ada", Values: map[string]any{"kept": 2, strings.Repeat("k", 257): 1}}},
		{session.ErrTooLarge, "with too many values beside those that are stored", session.Login{User: "ada", Values: overfull}},
	}
}

func loginGivesBack(ctx context.Context, e *env) error {
	began := time.Now()
	e.Advance(10 * time.Millisecond)
	if _, err := e.users.RemoveUserSessions(ctx, "ada"); err != nil {
		return wrong(err, nil, "RemoveUserSessions")
	}
	e.Advance(10 * time.Millisecond)
	taken := uuid.NewString()
	hers, err := e.member(ctx, session.Login{User: "ada", ID: taken})
	if err != nil {
		return err
	}
	first, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	s, err := e.rotate(ctx, first, e.Idle)
	if err != nil {
		return err
	}
	if s, err = e.load(ctx, s); err != nil { // which begins the grace of the first token
		return err
	}
	before, err := session.Describe(s)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	e.Advance(e.Idle / 5)
	for i, c := range refusals(taken, began) {
		if c.l.MaxSessions > 0 && !e.lists() {
			continue
		}
		token := session.Token(s)
		if i%2 == 1 {
			token = session.Token(first) // within its grace
		}
		if _, err := e.users.Login(ctx, token, c.l); !errors.Is(err, c.why) {
			return wrong(err, c.why, "Login %s", c.what)
		}
		if err := e.unchanged(ctx, s, first, before); err != nil {
			return fmt.Errorf("after a refused login %s: %w", c.what, err)
		}
		if err := s.Set(ctx, "mine", i); err != nil {
			return wrong(err, nil, "after a refused login %s: Set by a session that was loaded before", c.what)
		}
		if err := errors.Join(e.holds(ctx, s, "mine", i), e.has(ctx, "ada", hers)); err != nil {
			return fmt.Errorf("after a refused login %s: %w", c.what, err)
		}
	}
	e.Advance(e.before(e.Idle * 7 / 10))
	if err := e.alive(ctx, s); err != nil {
		return fmt.Errorf("just before its idle deadline: %w", err)
	}
	e.Advance(e.after(e.Idle*85/100) - e.before(e.Idle*7/10)) // the calls themselves took some time
	return e.gone(ctx, s)
}

// unchanged reports an error unless both tokens open an anonymous session, and it is as
// described before.
func (e *env) unchanged(ctx context.Context, s, first session.Session, before session.Info) error {
	for _, s := range []session.Session{s, first} {
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		info, err := session.Describe(l)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		if err := sameInfo("Describe", info, before); err != nil {
			return err
		}
	}
	if _, err := e.store.Get(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Get")
	}
	return errors.Join(e.holds(ctx, s, "kept", 1), e.holds(ctx, s, "bad", nil), e.holds(ctx, s, "0", nil))
}

func loginValues(ctx context.Context, e *env) error {
	anonymous, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	if err := anonymous.Set(ctx, "mine", "old"); err != nil {
		return wrong(err, nil, "Set")
	}
	text := []byte("new")
	l := session.Login{User: "ada", Values: map[string]any{"mine": text, "more": 1}}
	from := func(s session.Session) (session.Session, error) { return e.login(ctx, s, l) }
	hers, err := from(anonymous)
	if err != nil {
		return err
	}
	text[0] = 'X' // the caller may change a value after the call
	if err := errors.Join(shows(ctx, hers, "mine", []byte("new")), shows(ctx, hers, "more", 1), shows(ctx, hers, "kept", 1),
		e.holds(ctx, hers, "mine", []byte("new")), e.holds(ctx, hers, "more", 1), e.holds(ctx, hers, "kept", 1)); err != nil {
		return fmt.Errorf("after a login of an anonymous session: %w", err)
	}

	l.Values = map[string]any{"mine": "newer", "most": 2}
	again, err := from(hers)
	if err != nil {
		return err
	}
	if err := errors.Join(shows(ctx, again, "mine", "newer"), shows(ctx, again, "most", 2), shows(ctx, again, "more", 1),
		e.holds(ctx, again, "mine", "newer"), e.holds(ctx, again, "most", 2), e.holds(ctx, again, "more", 1), e.holds(ctx, again, "kept", 1)); err != nil {
		return fmt.Errorf("after a login of the same user: %w", err)
	}

	fresh, err := e.member(ctx, l)
	if err != nil {
		return err
	}
	if err := errors.Join(shows(ctx, fresh, "mine", "newer"), e.holds(ctx, fresh, "most", 2), e.holds(ctx, fresh, "kept", nil)); err != nil {
		return fmt.Errorf("after a login from no session: %w", err)
	}

	for _, c := range refusals("", time.Time{})[4:] {
		if _, err := e.users.Login(ctx, session.Token(again), c.l); !errors.Is(err, c.why) {
			return wrong(err, c.why, "Login of the same user %s", c.what)
		}
		if err := errors.Join(e.alive(ctx, again), e.holds(ctx, again, "kept", 1), e.holds(ctx, again, "0", nil)); err != nil {
			return fmt.Errorf("the session of the user, after a refused login %s: %w", c.what, err)
		}
		c.l.Values["kept"] = 1 // so that the values of the login alone are too many
		if _, err := e.users.Login(ctx, "", c.l); !errors.Is(err, c.why) {
			return wrong(err, c.why, "Login from no session %s", c.what)
		}
	}
	return e.has(ctx, "ada", again, fresh)
}

func loginOfManyValues(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	in, err := e.login(ctx, s, session.Login{User: "bob", Values: full()})
	if err != nil {
		return fmt.Errorf("with 1024 values, one of which replaces a stored one: %w", err)
	}
	if err := in.Set(ctx, "one more", 1); !errors.Is(err, session.ErrTooLarge) {
		return wrong(err, session.ErrTooLarge, "Set of value 1025")
	}
	return errors.Join(e.holds(ctx, in, "kept", 2), e.holds(ctx, in, "1022", 1022))
}

func loginValuesAtOnce(ctx context.Context, e *env) error {
	l := session.Login{User: "ada", Values: map[string]any{"first": 1, "second": 2}}
	var left atomic.Int32
	left.Store(many / 2)
	return together(func(i int) error {
		if i < many/2 { // logs in
			defer left.Add(-1)
			logIn := e.member
			if i%2 == 0 {
				logIn = e.visitor
			}
			_, err := logIn(ctx, l)
			return err
		}
		for left.Load() > 0 { // looks
			list, err := e.users.UserSessions(ctx, "ada")
			if err != nil {
				return wrong(err, nil, "UserSessions")
			}
			for _, info := range list {
				s, err := e.store.Get(ctx, info.ID)
				if err != nil {
					return wrong(err, nil, "Get")
				}
				if err := errors.Join(shows(ctx, s, "first", 1), shows(ctx, s, "second", 2)); err != nil {
					return err
				}
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
}
