package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mist-contrib/session"
)

func neverEarlyNeverLate() []rule {
	return []rule{
		{"a session ends at its idle deadline and not before", 0, idleDeadline},
		{"Refresh restarts the idle timeout", 0, refreshProlongs},
		{"a session ends at its absolute deadline whatever happens", 0, absoluteDeadline},
		{"neither reading nor writing extends a session", 0, nothingElseProlongs},
		{"rotation moves no deadline", TokenStore, rotationMovesNoDeadline},
		{"no operation leaves a session that never ends", 0, everyOperationExpires},
		{"after expiry an id can be used again, without its old data", 0, freeAfterExpiry},
		{"Describe reports the times", Describer, describeTimes},
		{"Now is the clock of the times that Describe reports", Clock | Describer, sameClock},
	}
}

func idleDeadline(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	e.Advance(e.before(e.Idle))
	if err := e.alive(ctx, s); err != nil {
		return fmt.Errorf("just before the idle deadline: %w", err)
	}
	e.Advance(e.after(e.Idle) - e.before(e.Idle))
	if err := e.gone(ctx, s); err != nil {
		return fmt.Errorf("at the idle deadline: %w", err)
	}
	return nil
}

func refreshProlongs(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		e.Advance(e.before(e.Idle))
		if err := e.store.Refresh(ctx, s.ID()); err != nil {
			return wrong(err, nil, "Refresh just before the idle deadline")
		}
	}
	e.Advance(e.before(e.Idle))
	if err := e.alive(ctx, s); err != nil {
		return fmt.Errorf("just before the idle deadline of the last Refresh: %w", err)
	}
	e.Advance(e.after(e.Idle) - e.before(e.Idle))
	if err := e.gone(ctx, s); err != nil {
		return fmt.Errorf("at the idle deadline of the last Refresh: %w", err)
	}
	return nil
}

func absoluteDeadline(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	left := e.before(e.Absolute)
	for left > 0 {
		step := min(left, e.Idle/2)
		e.Advance(step)
		left -= step
		if err := e.store.Refresh(ctx, s.ID()); err != nil {
			return wrong(err, nil, "Refresh before the absolute deadline")
		}
	}
	if err := e.alive(ctx, s); err != nil {
		return fmt.Errorf("just before the absolute deadline: %w", err)
	}
	e.Advance(e.after(e.Absolute) - e.before(e.Absolute))
	if err := e.gone(ctx, s); err != nil {
		return fmt.Errorf("at the absolute deadline of a session that was refreshed: %w", err)
	}
	return nil
}

func nothingElseProlongs(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	e.Advance(e.before(e.Idle))
	if err := e.holds(ctx, s, "kept", 1); err != nil {
		return err
	}
	for name, write := range e.writes() {
		if err := write(ctx, s); err != nil {
			return wrong(err, nil, "%s just before the idle deadline", name)
		}
	}
	e.Advance(e.after(e.Idle) - e.before(e.Idle))
	return e.gone(ctx, s)
}

func rotationMovesNoDeadline(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	e.Advance(e.before(e.Idle))
	r, err := e.rotate(ctx, s, e.Absolute)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, r); err != nil {
		return err
	}
	e.Advance(e.after(e.Idle) - e.before(e.Idle))
	return errors.Join(e.gone(ctx, s), e.gone(ctx, r))
}

func everyOperationExpires(ctx context.Context, e *env) error {
	ops := e.writes()
	ops["Generate"] = func(context.Context, session.Session) error { return nil }
	ops["Refresh"] = func(ctx context.Context, s session.Session) error { return e.store.Refresh(ctx, s.ID()) }
	ops[e.opener()] = func(ctx context.Context, s session.Session) error {
		_, err := e.open(ctx, session.Token(s))
		return err
	}
	ops["Get"] = func(ctx context.Context, s session.Session) error {
		_, err := e.store.Get(ctx, s.ID())
		return err
	}
	if e.tokens != nil {
		ops["Rotate"] = func(ctx context.Context, s session.Session) error {
			_, err := e.tokens.Rotate(ctx, session.Token(s), e.Absolute)
			return err
		}
	}
	made := make(map[string]session.Session)
	for name, op := range ops {
		s, err := e.generateWith(ctx, "kept", 1)
		if err != nil {
			return err
		}
		if err := op(ctx, s); err != nil {
			return wrong(err, nil, "%s", name)
		}
		made[name] = s
	}
	e.Advance(e.after(e.Idle))
	for name, s := range made {
		if err := e.gone(ctx, s); err != nil {
			return fmt.Errorf("after %s, an idle timeout later: %w", name, err)
		}
	}
	return nil
}

func freeAfterExpiry(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", "old")
	if err != nil {
		return err
	}
	e.Advance(e.after(e.Idle))
	n, err := e.generateID(ctx, s.ID())
	if err != nil {
		return err
	}
	if err := e.holds(ctx, n, "kept", nil); err != nil {
		return err
	}
	if err := s.Set(ctx, "kept", "late"); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Set by the expired session, whose id was used again")
	}
	return e.holds(ctx, n, "kept", nil)
}

func describeTimes(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	made, err := session.Describe(s)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	// near allows a store to round to the millisecond.
	near := func(what string, got, want time.Time) error {
		if d := got.Sub(want); d < -e.Slack-time.Millisecond || d > e.Slack+time.Millisecond {
			return described(": %s: got a time that is off by %v, want at most a millisecond and the slack", what, d)
		}
		return nil
	}
	err = errors.Join(
		near("LastSeen", made.LastSeen, made.CreatedAt),
		near("IdleDeadline", made.IdleDeadline, made.CreatedAt.Add(e.Idle)),
		near("AbsoluteDeadline", made.AbsoluteDeadline, made.CreatedAt.Add(e.Absolute)),
	)
	if made.ID != s.ID() || made.User != "" || !made.AuthenticatedAt.IsZero() {
		err = errors.Join(err, described(" of an anonymous session: got the user %q, AuthenticatedAt %v and its own id: %t, want no user, a zero time and true",
			made.User, made.AuthenticatedAt, made.ID == s.ID()))
	}
	if err != nil {
		return err
	}
	e.Advance(e.Idle / 2)
	if err := e.store.Refresh(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Refresh")
	}
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	refreshed, err := session.Describe(l)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	return errors.Join(
		near("CreatedAt after Refresh", refreshed.CreatedAt, made.CreatedAt),
		near("LastSeen after Refresh", refreshed.LastSeen, made.CreatedAt.Add(e.Idle/2)),
		near("IdleDeadline after Refresh", refreshed.IdleDeadline, refreshed.LastSeen.Add(e.Idle)),
		near("AbsoluteDeadline after Refresh", refreshed.AbsoluteDeadline, made.AbsoluteDeadline),
	)
}

func sameClock(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		before, err := session.Now(ctx, s)
		if err != nil {
			return wrong(err, nil, "Now")
		}
		if err := e.store.Refresh(ctx, s.ID()); err != nil {
			return wrong(err, nil, "Refresh")
		}
		after, err := session.Now(ctx, s)
		if err != nil {
			return wrong(err, nil, "Now")
		}
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		info, err := session.Describe(l)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		// A store may round to the millisecond.
		if seen := info.LastSeen; seen.Before(before.Add(-time.Millisecond)) || seen.After(after.Add(time.Millisecond)) {
			return fmt.Errorf("Refresh between two calls of Now: got a LastSeen %v after the first and %v before the second, want neither negative",
				seen.Sub(before), after.Sub(seen))
		}
		e.Advance(e.Idle / 2)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := session.Now(canceled, s); !errors.Is(err, context.Canceled) {
		return wrong(err, context.Canceled, "Now with a canceled context")
	}
	return nil
}
