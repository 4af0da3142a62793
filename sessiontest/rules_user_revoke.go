package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mist-contrib/session"
)

func usersDead() []rule {
	return []rule{
		{"Remove ends the session of a user, and nothing brings it back", users, removedStaysDead},
		{"RemoveUserSessions ends all sessions of a user, and no other", users, revokesAll},
		{"nothing brings a session back after RemoveUserSessions", users, revokedStaysDead},
		{"nothing brings an anonymous session back after its login", users, loginEndsAnonymous},
		{"a login whose check began before a revocation is refused", users, lateLogin},
		{"RemoveUserSessions wins against logins in progress", users, revokeWins},
		{"a limit refuses a login beyond it", users | UserLister, limitRefuses},
		{"EndOldest ends the session that logged in first", users | UserLister, limitEndsOldest},
		{"concurrent logins leave as many sessions as the limit allows", users | UserLister, limitHolds},
		{"ended sessions do not count for a limit", users | UserLister, endedDoNotCount},
	}
}

func usersTimes() []rule {
	return []rule{
		{"a login restarts both timeouts", users, loginBeginsAnew},
		{"a session keeps the timeouts of its login", users, ownTimeouts},
	}
}

// members logs a user in n times, one after the other.
func (e *env) members(ctx context.Context, n int, l session.Login) ([]session.Session, error) {
	all := make([]session.Session, n)
	for i := range all {
		var err error
		if all[i], err = e.member(ctx, l); err != nil {
			return nil, err
		}
		e.Advance(2 * time.Millisecond) // so that the logins have an order
	}
	return all, nil
}

func revokesAll(ctx context.Context, e *env) error {
	mine, err := e.members(ctx, 4, ada())
	if err != nil {
		return err
	}
	other, err := e.member(ctx, session.Login{User: "bob"})
	if err != nil {
		return err
	}
	anonymous, err := e.generate(ctx)
	if err != nil {
		return err
	}
	if err := removed(ctx, e, mine[3]); err != nil {
		return err
	}
	if err := e.revoke(ctx, "ada", 2, mine[1].ID(), "unknown", other.ID()); err != nil {
		return err
	}
	if err := errors.Join(e.gone(ctx, mine[0]), e.gone(ctx, mine[2]), e.alive(ctx, mine[1]), e.alive(ctx, other), e.alive(ctx, anonymous)); err != nil {
		return err
	}
	if err := e.revoke(ctx, "ada", 1); err != nil {
		return fmt.Errorf("without exceptions: %w", err)
	}
	if err := e.revoke(ctx, "ada", 0); err != nil {
		return fmt.Errorf("for the second time: %w", err)
	}
	return errors.Join(e.gone(ctx, mine[1]), e.alive(ctx, other), e.alive(ctx, anonymous))
}

// revoke ends the sessions of a user. It reports an error unless their number was want. It
// ignores the number if the store does not list sessions.
func (e *env) revoke(ctx context.Context, user string, want int, except ...string) error {
	n, err := e.users.RemoveUserSessions(ctx, user, except...)
	switch {
	case err != nil:
		return wrong(err, nil, "RemoveUserSessions of %q", short(user))
	case n != want && e.lists():
		return fmt.Errorf("RemoveUserSessions of %q: got %d sessions, want %d", short(user), n, want)
	}
	return nil
}

func removedStaysDead(ctx context.Context, e *env) error {
	return staysDeadAfter(ctx, e, removed)
}

func revokedStaysDead(ctx context.Context, e *env) error {
	return staysDeadAfter(ctx, e, func(ctx context.Context, e *env, _ session.Session) error {
		if _, err := e.users.RemoveUserSessions(ctx, "ada"); err != nil {
			return wrong(err, nil, "RemoveUserSessions")
		}
		return nil
	})
}

func staysDeadAfter(ctx context.Context, e *env, end ending) error {
	for name, write := range e.writes() {
		s, err := e.member(ctx, ada())
		if err != nil {
			return err
		}
		loaded, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		if err := end(ctx, e, s); err != nil {
			return err
		}
		if err := e.staysDead(ctx, s, loaded, name, write); err != nil {
			return err
		}
		if err := e.gone(ctx, s); err != nil {
			return fmt.Errorf("after %s: %w", name, err)
		}
	}
	return nil
}

func lateLogin(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	began := time.Now()
	e.Advance(10 * time.Millisecond)
	if _, err := e.users.RemoveUserSessions(ctx, "ada"); err != nil {
		return wrong(err, nil, "RemoveUserSessions")
	}
	e.Advance(10 * time.Millisecond)
	late := session.Login{User: "ada", Began: began}
	if _, err := e.users.Login(ctx, session.Token(s), late); !errors.Is(err, session.ErrRevoked) || !errors.Is(err, session.ErrNotFound) {
		return unexpected(err, "session.ErrRevoked, which also matches session.ErrNotFound", "Login whose check began before a revocation")
	}
	old := session.Login{User: "bob", Began: time.Now().Add(-2 * session.BeganLimit)}
	if _, err := e.users.Login(ctx, session.Token(s), old); !errors.Is(err, session.ErrRevoked) {
		return wrong(err, session.ErrRevoked, "Login whose check began more than BeganLimit ago")
	}
	if err := errors.Join(e.alive(ctx, s), e.belongs(ctx, s, ""), e.holds(ctx, s, "kept", 1)); err != nil {
		return fmt.Errorf("after a refused login: %w", err)
	}
	if err := e.has(ctx, "ada"); err != nil {
		return err
	}
	other, err := e.generate(ctx)
	if err != nil {
		return err
	}
	if _, err := e.login(ctx, other, session.Login{User: "bob", Began: began}); err != nil {
		return fmt.Errorf("of another user: %w", err)
	}
	if _, err := e.login(ctx, s, session.Login{User: "ada", Began: time.Now()}); err != nil {
		return fmt.Errorf("whose check began after the revocation: %w", err)
	}
	return nil
}

func revokeWins(ctx context.Context, e *env) error {
	for range 3 {
		made := make([]session.Session, many)
		for i := range made {
			var err error
			if made[i], err = e.generate(ctx); err != nil {
				return err
			}
		}
		began := time.Now()
		e.Advance(time.Millisecond)
		in := make([]session.Session, many)
		err := together(func(i int) (err error) {
			if i == 0 {
				if _, err = e.users.RemoveUserSessions(ctx, "ada"); err != nil {
					return wrong(err, nil, "RemoveUserSessions")
				}
				return nil
			}
			token := ""
			if i%2 == 0 {
				token = session.Token(made[i])
			}
			in[i], err = e.users.Login(ctx, token, session.Login{User: "ada", Began: began})
			switch {
			case errors.Is(err, session.ErrRevoked): // the revocation came first
				return e.alive(ctx, made[i])
			case err != nil && !errors.Is(err, session.ErrNotFound): // which means that the revocation came during the login
				return unexpected(err, "no error, session.ErrRevoked or session.ErrNotFound", "Login during RemoveUserSessions")
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, s := range in {
			if s != nil {
				if err := e.gone(ctx, s); err != nil {
					return fmt.Errorf("a login that began before the revocation: %w", err)
				}
			}
		}
		if err := e.has(ctx, "ada"); err != nil {
			return err
		}
	}
	return nil
}

func loginBeginsAnew(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	hers, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	e.Advance(e.Idle * 6 / 10)
	in, err := e.login(ctx, s, ada())
	if err != nil {
		return err
	}
	if hers, err = e.login(ctx, hers, ada()); err != nil {
		return err
	}
	e.Advance(e.before(e.Idle))
	if err := errors.Join(e.alive(ctx, in), e.alive(ctx, hers)); err != nil {
		return fmt.Errorf("just before the idle deadline: %w", err)
	}
	e.Advance(e.after(e.Idle) - e.before(e.Idle))
	return errors.Join(e.gone(ctx, in), e.gone(ctx, hers))
}

func ownTimeouts(ctx context.Context, e *env) error {
	short, err := e.member(ctx, session.Login{User: "ada", IdleTimeout: e.Idle / 2})
	if err != nil {
		return err
	}
	brief, err := e.member(ctx, session.Login{User: "ada", AbsoluteTimeout: e.Idle * 7 / 10})
	if err != nil {
		return err
	}
	long, err := e.member(ctx, session.Login{User: "ada", IdleTimeout: e.Idle * 2, AbsoluteTimeout: e.Absolute * 2})
	if err != nil {
		return err
	}
	if short, err = e.rotate(ctx, short, 0); err != nil {
		return err
	}
	e.Advance(e.before(e.Idle / 2))
	if err := e.alive(ctx, short); err != nil {
		return fmt.Errorf("just before its own deadline: %w", err)
	}
	if err := errors.Join(e.store.Refresh(ctx, short.ID()), e.store.Refresh(ctx, brief.ID())); err != nil {
		return wrong(err, nil, "Refresh just before its own deadline")
	}
	e.Advance(e.before(e.Idle / 2))
	if err := errors.Join(e.alive(ctx, short), e.gone(ctx, brief)); err != nil {
		return fmt.Errorf("after a Refresh: %w", err)
	}
	e.Advance(e.after(e.Idle/2) - e.before(e.Idle/2))
	if err := errors.Join(e.gone(ctx, short), e.alive(ctx, long)); err != nil {
		return err
	}
	e.Advance(e.before(e.Idle * 8 / 10))
	if err := e.alive(ctx, long); err != nil {
		return fmt.Errorf("after the store's idle timeout and before its own: %w", err)
	}
	info, err := session.Describe(long)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	if got, want := info.AbsoluteDeadline.Sub(info.AuthenticatedAt), e.Absolute*2; got != want {
		return described(": got an AbsoluteDeadline %v after the login, want %v, its own timeout", got, want)
	}
	return nil
}

// staysDead reports an error if a call brings back a session that a logout, a revocation or
// a login has ended.
func (e *env) staysDead(ctx context.Context, s, loaded session.Session, name string, write func(ctx context.Context, s session.Session) error) error {
	for _, s := range []session.Session{s, loaded} {
		if err := write(ctx, s); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "%s of an ended session", name)
		}
	}
	if err := e.store.Refresh(ctx, s.ID()); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Refresh of an ended session")
	}
	if _, err := e.tokens.Rotate(ctx, session.Token(s), e.Idle); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Rotate of an ended session")
	}
	if _, err := e.users.Login(ctx, session.Token(s), ada()); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Login with the token of an ended session")
	}
	return nil
}
