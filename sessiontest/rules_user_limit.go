package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mist-contrib/session"
)

func limitRefuses(ctx context.Context, e *env) error {
	l := session.Login{User: "ada", MaxSessions: 2}
	mine, err := e.members(ctx, 2, l)
	if err != nil {
		return err
	}
	third, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	if _, err := e.users.Login(ctx, session.Token(third), l); !errors.Is(err, session.ErrUserLimit) || errors.Is(err, session.ErrNotFound) {
		return unexpected(err, "session.ErrUserLimit, which does not match session.ErrNotFound", "Login beyond MaxSessions")
	}
	if err := errors.Join(e.alive(ctx, third), e.belongs(ctx, third, ""), e.holds(ctx, third, "kept", 1), e.alive(ctx, mine[0]), e.alive(ctx, mine[1])); err != nil {
		return err
	}
	if _, err := e.login(ctx, mine[1], l); err != nil { // the session itself does not count
		return fmt.Errorf("with a session that the user has already: %w", err)
	}
	_, err = e.login(ctx, third, session.Login{User: "bob", MaxSessions: 2})
	return err
}

func limitEndsOldest(ctx context.Context, e *env) error {
	var ended []string
	l := session.Login{User: "ada", MaxSessions: 2, EndOldest: true, Ended: func(id string) { ended = append(ended, id) }}
	mine, err := e.members(ctx, 4, l)
	if err != nil {
		return err
	}
	if len(ended) != 2 || ended[0] != mine[0].ID() || ended[1] != mine[1].ID() {
		return fmt.Errorf("Login with EndOldest: got %d calls of Ended, want one for the first session, then one for the second", len(ended))
	}
	return errors.Join(e.gone(ctx, mine[0]), e.gone(ctx, mine[1]), e.alive(ctx, mine[2]), e.alive(ctx, mine[3]))
}

func limitHolds(ctx context.Context, e *env) error {
	const limit = 3
	for _, oldest := range []bool{false, true} {
		user := fmt.Sprint("ends oldest: ", oldest)
		var refused atomic.Int32
		err := together(func(i int) error {
			logIn := e.member
			if i%2 == 0 {
				logIn = e.visitor
			}
			_, err := logIn(ctx, session.Login{User: user, MaxSessions: limit, EndOldest: oldest})
			if !oldest && errors.Is(err, session.ErrUserLimit) {
				refused.Add(1)
				return nil
			}
			if oldest && errors.Is(err, session.ErrNotFound) { // a later login ended it
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		list, err := e.users.UserSessions(ctx, user)
		if err != nil {
			return wrong(err, nil, "UserSessions")
		}
		if len(list) != limit {
			return fmt.Errorf("UserSessions after many logins with EndOldest %t: got %d sessions, want %d", oldest, len(list), limit)
		}
		if !oldest && refused.Load() != many-limit {
			return fmt.Errorf("%d logins at once: got session.ErrUserLimit %d times, want %d times", many, refused.Load(), many-limit)
		}
	}
	return nil
}

func endedDoNotCount(ctx context.Context, e *env) error {
	for _, l := range []session.Login{
		{User: "ada", MaxSessions: 1}, {User: "bob", MaxSessions: 1, EndOldest: true, Ended: func(string) { panic("Login called Ended for a session that had ended before") }},
	} {
		first, err := e.member(ctx, l)
		if err != nil {
			return err
		}
		if err := removed(ctx, e, first); err != nil {
			return err
		}
		if _, err := e.member(ctx, l); err != nil {
			return err
		}
		e.Advance(e.after(e.Idle) + e.Idle/2) // long enough even if the logins took a while
		if _, err := e.member(ctx, l); err != nil {
			return err
		}
	}
	return nil
}
