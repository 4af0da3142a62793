package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// login logs in the client of s, which is anonymous or logged in as that user.
func (e *env) login(ctx context.Context, s session.Session, l session.Login) (session.Session, error) {
	before, err := session.Describe(s)
	if err != nil {
		return nil, wrong(err, nil, "Describe")
	}
	r, err := e.logIn(ctx, session.Token(s), l)
	switch goesOn := before.User != ""; {
	case err != nil:
		return nil, err
	case session.Token(r) == session.Token(s):
		return nil, errors.New("Login: got the token from before, want a new one")
	case goesOn && r.ID() != s.ID():
		return nil, errors.New("Login of the same user: got a session with another id, want the same id")
	case !goesOn && r.ID() == s.ID():
		return nil, errors.New("Login of an anonymous session: got a session with its id, want a new id")
	}
	return r, nil
}

// logIn logs in a client that carries a token, or nothing.
func (e *env) logIn(ctx context.Context, token string, l session.Login) (session.Session, error) {
	r, err := e.users.Login(ctx, token, l)
	switch {
	case err != nil:
		return nil, wrong(err, nil, "Login")
	case r == nil:
		return nil, errors.New("Login: got no session and no error, want one of them")
	case session.Token(r) == "":
		return nil, errors.New("Login: got a session without a token, want the new token")
	}
	return r, nil
}

// member logs a user in without a session before.
func (e *env) member(ctx context.Context, l session.Login) (session.Session, error) {
	return e.logIn(ctx, "", l)
}

// limit limits a login to one session, if the store has such limits.
func (e *env) limit(l session.Login) session.Login {
	if e.lists() {
		l.MaxSessions = 1
	}
	return l
}

func (e *env) visitor(ctx context.Context, l session.Login) (session.Session, error) {
	s, err := e.generate(ctx)
	if err != nil {
		return nil, err
	}
	return e.login(ctx, s, l)
}

// lists reports whether the Harness declares UserLister.
func (e *env) lists() bool { return e.Capabilities&UserLister != 0 }

// has reports an error unless the user has exactly these sessions. It reports nothing if the
// store does not list sessions.
func (e *env) has(ctx context.Context, user string, sessions ...session.Session) error {
	if !e.lists() {
		return nil
	}
	list, err := e.users.UserSessions(ctx, user)
	if err != nil {
		return wrong(err, nil, "UserSessions of %q", user)
	}
	ids := make(map[string]bool)
	for _, info := range list {
		ids[info.ID] = true
	}
	for _, s := range sessions {
		if !ids[s.ID()] {
			return fmt.Errorf("UserSessions of %q: got a list without a session of the user, want all of them", user)
		}
	}
	if len(list) != len(sessions) {
		return fmt.Errorf("UserSessions of %q: got %d sessions, want %d", user, len(list), len(sessions))
	}
	return nil
}

func loginBegins(ctx context.Context, e *env) error {
	id := uuid.NewString()
	l := session.Login{User: "ada", ID: id}
	s, err := e.member(ctx, l)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(s.ID(), id) {
		return errors.New("Login with an ID: got a session whose id does not end with it, want one that does")
	}
	if err := errors.Join(e.alive(ctx, s), e.belongs(ctx, s, "ada")); err != nil {
		return err
	}
	others, err := e.members(ctx, 2, ada())
	if err != nil {
		return err
	}
	if others[0].ID() == others[1].ID() {
		return errors.New("Login without an ID, twice: got two sessions with one id, want two ids")
	}
	return e.has(ctx, "ada", s, others[0], others[1])
}

func loginTakesNoID(ctx context.Context, e *env) error {
	l := session.Login{User: "ada", ID: uuid.NewString()}
	s, err := e.member(ctx, l)
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "hers", 1); err != nil {
		return wrong(err, nil, "Set")
	}
	if _, err := e.users.Login(ctx, "", l); !errors.Is(err, session.ErrExists) {
		return wrong(err, session.ErrExists, "Login with the id of a live session")
	}
	if err := errors.Join(e.alive(ctx, s), e.holds(ctx, s, "hers", 1), e.has(ctx, "ada", s)); err != nil {
		return fmt.Errorf("the session that has the id: %w", err)
	}
	if err := e.store.Remove(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Remove")
	}
	again, err := e.member(ctx, l)
	if err != nil {
		return fmt.Errorf("with the id of an ended session: %w", err)
	}
	if err := s.Set(ctx, "late", 1); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Set by the ended session, whose id was used again")
	}
	return errors.Join(e.dead(ctx, s), e.alive(ctx, again), e.holds(ctx, again, "hers", nil))
}

func loginBinds(ctx context.Context, e *env) error {
	id := uuid.NewString()
	made, err := e.generateWith(ctx, "cart", "apples")
	if err != nil {
		return err
	}
	if err := e.belongs(ctx, made, ""); err != nil {
		return err
	}
	s, err := e.login(ctx, made, session.Login{User: "ada", ID: id})
	if err != nil {
		return err
	}
	if !strings.HasSuffix(s.ID(), id) {
		return errors.New("Login with an ID: got a session whose id does not end with it, want one that does")
	}
	return errors.Join(e.alive(ctx, s), e.belongs(ctx, s, "ada"), e.has(ctx, "ada", s),
		shows(ctx, s, "cart", "apples"), e.holds(ctx, s, "cart", "apples"))
}

func loginGoesOn(ctx context.Context, e *env) error {
	s, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "cart", "apples"); err != nil {
		return wrong(err, nil, "Set")
	}
	made, err := session.Describe(s)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	e.Advance(e.Idle / 10)
	again, err := e.login(ctx, s, e.limit(session.Login{User: "ada", ID: uuid.NewString()}))
	if err != nil {
		return err
	}
	info, err := session.Describe(again)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	switch {
	case !info.CreatedAt.Equal(made.CreatedAt):
		return differs("Describe after a login of the same user: CreatedAt", info.CreatedAt, made.CreatedAt)
	case !info.AuthenticatedAt.After(made.AuthenticatedAt) || !info.RotatedAt.Equal(info.AuthenticatedAt):
		return described(" after a login of the same user: got AuthenticatedAt %v and RotatedAt %v, want both to be the time of the login", info.AuthenticatedAt, info.RotatedAt)
	}
	return errors.Join(e.dead(ctx, s), e.alive(ctx, again), e.belongs(ctx, again, "ada"), e.has(ctx, "ada", again),
		shows(ctx, again, "cart", "apples"), e.holds(ctx, again, "cart", "apples"))
}

func loginKeepsWriters(ctx context.Context, e *env) error {
	s, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	again, err := e.login(ctx, s, ada())
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "late", 1); err != nil {
		return wrong(err, nil, "Set by a session that was loaded before a login of the same user")
	}
	return e.holds(ctx, again, "late", 1)
}

func loginEndsAnonymous(ctx context.Context, e *env) error {
	for name, write := range e.writes() {
		s, err := e.generateWith(ctx, "kept", 1)
		if err != nil {
			return err
		}
		loaded, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		in, err := e.login(ctx, s, ada())
		if err != nil {
			return err
		}
		if err := e.gone(ctx, s); err != nil {
			return err
		}
		if err := e.staysDead(ctx, s, loaded, name, write); err != nil {
			return err
		}
		if err := e.store.Remove(ctx, s.ID()); err != nil {
			return wrong(err, nil, "Remove")
		}
		if err := e.gone(ctx, s); err != nil {
			return fmt.Errorf("after %s: %w", name, err)
		}
		if err := errors.Join(e.alive(ctx, in), e.holds(ctx, in, "kept", 1), e.holds(ctx, in, "late", nil)); err != nil {
			return fmt.Errorf("the session of the user, after %s: %w", name, err)
		}
	}
	return nil
}

func loginEndsTokens(begin func(ctx context.Context, e *env) (session.Session, error)) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		first, err := begin(ctx, e)
		if err != nil {
			return err
		}
		second, err := e.rotate(ctx, first, e.Idle)
		if err != nil {
			return err
		}
		third, err := e.rotate(ctx, second, e.Idle)
		if err != nil {
			return err
		}
		s, err := e.login(ctx, second, ada()) // still valid
		if err != nil {
			return err
		}
		for _, old := range []session.Session{first, second, third} {
			if err := e.dead(ctx, old); err != nil {
				return err
			}
			if _, err := e.tokens.Rotate(ctx, session.Token(old), e.Idle); !errors.Is(err, session.ErrNotFound) {
				return wrong(err, session.ErrNotFound, "Rotate of a token from before the login")
			}
			if _, err := e.users.Login(ctx, session.Token(old), ada()); !errors.Is(err, session.ErrNotFound) {
				return wrong(err, session.ErrNotFound, "Login with a token from before the login")
			}
		}
		return e.alive(ctx, s)
	}
}

func anonymous(ctx context.Context, e *env) (session.Session, error) { return e.generate(ctx) }

func adasSession(ctx context.Context, e *env) (session.Session, error) { return e.member(ctx, ada()) }

func loginRefusesOthers(ctx context.Context, e *env) error {
	s, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "hers", 1); err != nil {
		return wrong(err, nil, "Set")
	}
	his := e.limit(session.Login{User: "bob", ID: uuid.NewString(), Values: map[string]any{"hers": 2}, EndOldest: true})
	if _, err := e.users.Login(ctx, session.Token(s), his); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Login with another user's session")
	}
	if _, err := e.users.Login(ctx, s.ID()+"."+strings.Repeat("B", 26), ada()); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Login with an id and a wrong secret")
	}
	return errors.Join(e.alive(ctx, s), e.belongs(ctx, s, "ada"), e.holds(ctx, s, "hers", 1), e.has(ctx, "ada", s), e.has(ctx, "bob"))
}

func loginsCompete(ctx context.Context, e *env) error {
	for round := range 4 {
		s, err := e.generateWith(ctx, "cart", "apples")
		if err != nil {
			return err
		}
		theirs := []string{"ada", "bob"}
		if round%2 == 1 { // with a session that ada has already
			theirs = theirs[:1]
			if s, err = e.login(ctx, s, ada()); err != nil {
				return err
			}
		}
		won := make([]session.Session, many)
		err = together(func(i int) error {
			r, err := e.users.Login(ctx, session.Token(s), session.Login{User: theirs[i%len(theirs)]})
			if err == nil {
				won[i] = r
			} else if !errors.Is(err, session.ErrNotFound) {
				return unexpected(err, "no error or session.ErrNotFound", "Login by many at once")
			}
			return nil
		})
		if err != nil {
			return err
		}
		winners := 0
		for i, r := range won {
			if r == nil {
				continue
			}
			winners++
			if err := errors.Join(e.belongs(ctx, r, theirs[i%len(theirs)]), e.holds(ctx, r, "cart", "apples")); err != nil {
				return fmt.Errorf("the session of a login that succeeded: %w", err)
			}
		}
		if winners != 1 {
			return fmt.Errorf("Login by many at once with one token: got %d successes, want 1", winners)
		}
		if err := e.dead(ctx, s); err != nil {
			return err
		}
		ended := 0
		for _, user := range theirs {
			n, err := e.users.RemoveUserSessions(ctx, user)
			if err != nil {
				return wrong(err, nil, "RemoveUserSessions of %q", user)
			}
			ended += n
		}
		if ended != 1 {
			return fmt.Errorf("RemoveUserSessions after many logins with one token: got %d sessions, want 1", ended)
		}
	}
	return nil
}

func reauthenticatesNobody(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	bobs, err := e.member(ctx, session.Login{User: "bob"})
	if err != nil {
		return err
	}
	for _, token := range []string{session.Token(s), session.Token(bobs), ""} {
		if _, err := e.users.Login(ctx, token, session.Login{User: "ada", Reauthentication: true}); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Login with Reauthentication, but without a session of that user")
		}
	}
	return errors.Join(e.alive(ctx, s), e.belongs(ctx, s, ""), e.holds(ctx, s, "kept", 1),
		e.alive(ctx, bobs), e.belongs(ctx, bobs, "bob"), e.has(ctx, "ada"), e.has(ctx, "bob", bobs))
}
