package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

func devicesTimes() []rule {
	return []rule{
		{"a bound token ends at its deadline and not before", devices, boundDeadline},
		{"the token from before Bind is valid until the first bound one is used, then for its grace", devices, bindGrace(seenByOpen)},
		{"a proof counts as use of the first bound token", devices, bindGrace(seenByProof)},
		{"a proof moves the end of no token", devices, ownEnds},
		{"neither Bind nor Prove moves a deadline", devices, proofMovesNoDeadline},
		{"Describe reports when a bound token ends", devices | Clock, describesProof},
	}
}

func boundDeadline(ctx context.Context, e *env) error {
	p := e.proof(aDevice)
	_, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	for range 2 { // first the token of Bind, then the token of Prove
		object, err := e.load(ctx, first)
		if err != nil {
			return err
		}
		e.Advance(e.before(p.Lifetime))
		if err := e.alive(ctx, first); err != nil {
			return fmt.Errorf("just before the end of a bound token: %w", err)
		}
		if err := e.store.Refresh(ctx, first.ID()); err != nil { // which does not move the end of a token
			return wrong(err, nil, "Refresh")
		}
		e.Advance(e.after(p.Lifetime) - e.before(p.Lifetime))
		if err := e.unproved(ctx, first); err != nil {
			return err
		}
		if _, err := e.open(ctx, first.ID()+"."+strings.Repeat("A", 26)+"DEVICE"); !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrUnproved) {
			return unexpected(err, "session.ErrNotFound and not session.ErrUnproved", "Open of a bound token that never existed")
		}
		if _, err := e.tokens.Rotate(ctx, session.Token(first), e.Idle); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Rotate of a bound token after its end")
		}
		if err := object.Set(ctx, "late", 1); err != nil {
			return wrong(err, nil, "Set by a request that began before the end of its token")
		}
		ended := first
		p.Challenge += "+"
		if first, err = e.prove(ctx, ended, p); err != nil {
			return fmt.Errorf("after the bound token has ended: %w", err)
		}
		if err := errors.Join(e.unproved(ctx, ended), e.alive(ctx, first), e.holds(ctx, first, "kept", 1), e.holds(ctx, first, "late", 1)); err != nil {
			return fmt.Errorf("after a proof: %w", err)
		}
	}
	return nil
}

func seenByOpen(ctx context.Context, e *env, first session.Session) error { return e.alive(ctx, first) }

func seenByProof(ctx context.Context, e *env, first session.Session) error {
	_, err := e.prove(ctx, first, e.proof(aDevice))
	return err
}

func bindGrace(see ending) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		p := e.lasting(e.Idle)
		grace := p.Grace
		before, first, err := e.bound(ctx, p)
		if err != nil {
			return err
		}
		e.Advance(e.after(grace)) // nobody has used the first bound token, so no grace has begun
		if err := e.alive(ctx, before); err != nil {
			return fmt.Errorf("the token from before Bind, while nobody has used the bound one: %w", err)
		}
		if err := see(ctx, e, first); err != nil {
			return err
		}
		e.Advance(e.before(grace))
		if err := e.alive(ctx, before); err != nil {
			return fmt.Errorf("the token from before Bind, within its grace: %w", err)
		}
		e.Advance(e.after(grace) - e.before(grace))
		return errors.Join(e.dead(ctx, before), e.alive(ctx, first))
	}
}

func ownEnds(ctx context.Context, e *env) error {
	step := e.Idle / 4
	_, first, err := e.bound(ctx, e.lasting(2*step))
	if err != nil {
		return err
	}
	if err := e.alive(ctx, first); err != nil {
		return err
	}
	second, err := e.prove(ctx, first, e.lasting(3*step))
	if err != nil {
		return err
	}
	third, err := e.prove(ctx, first, e.lasting(step)) // ends before the others
	if err != nil {
		return err
	}
	all := []session.Session{third, first, second}
	passed := time.Duration(0)
	for i := range all {
		end := time.Duration(i+1) * step
		e.Advance(e.before(end) - passed)
		for j, s := range all[i:] {
			if err := e.alive(ctx, s); err != nil {
				return fmt.Errorf("token %d just before the end of token %d: %w", i+j, i, err)
			}
		}
		e.Advance(e.after(end) - e.before(end))
		passed = e.after(end)
		for _, s := range all[:i+1] {
			if err := e.unproved(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func proofMovesNoDeadline(ctx context.Context, e *env) error {
	before, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	made, err := session.Describe(before)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	same := func(call string, s session.Session) error {
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		for name, times := range map[string][2]time.Time{
			"LastSeen":         {info.LastSeen, made.LastSeen},
			"IdleDeadline":     {info.IdleDeadline, made.IdleDeadline},
			"AbsoluteDeadline": {info.AbsoluteDeadline, made.AbsoluteDeadline},
			"AuthenticatedAt":  {info.AuthenticatedAt, made.AuthenticatedAt},
			"CreatedAt":        {info.CreatedAt, made.CreatedAt},
		} {
			if !times[0].Equal(times[1]) {
				return differs("Describe after "+call+": "+name, times[0], times[1])
			}
		}
		return nil
	}
	e.Advance(e.Idle / 4)
	first, err := e.bind(ctx, before, e.lasting(min(2*e.Absolute, 24*time.Hour)))
	if err != nil {
		return err
	}
	e.Advance(e.before(e.Idle) - e.Idle/4)
	second, err := e.prove(ctx, first, e.lasting(min(2*e.Absolute, 24*time.Hour)))
	if err != nil {
		return fmt.Errorf("just before the idle deadline: %w", err)
	}
	if err := errors.Join(same("Bind", first), same("Prove", second), e.alive(ctx, second)); err != nil {
		return err
	}
	e.Advance(e.after(e.Idle) - e.before(e.Idle))
	return errors.Join(e.gone(ctx, before), e.gone(ctx, first), e.gone(ctx, second), e.refusesProof(ctx, first, e.proof(aDevice), session.ErrNotFound))
}

func describesProof(ctx context.Context, e *env) error {
	before, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	// unproved reports an error unless the token of s has no end of its own.
	unproved := func(what string, s session.Session, bound bool) error {
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe of %s", what)
		}
		if info.Bound != bound || !info.ProvedUntil.IsZero() {
			return described(" of %s: got Bound %t and ProvedUntil %v, want %t and a zero time", what, info.Bound, info.ProvedUntil, bound)
		}
		return nil
	}
	if err := unproved("an unbound session", before, false); err != nil {
		return err
	}
	// tells reports an error unless the token of s ends a lifetime after from.
	tells := func(what string, s session.Session, from time.Time, lifetime time.Duration) error {
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		if d := info.ProvedUntil.Sub(from.Add(lifetime)); !info.Bound || d < -time.Millisecond || d > e.Slack+time.Millisecond {
			return described(" of %s: got Bound %t and a ProvedUntil that is off by %v, want true and at most a millisecond and the slack", what, info.Bound, d)
		}
		return nil
	}
	bound, err := session.Now(ctx, before)
	if err != nil {
		return wrong(err, nil, "Now")
	}
	first, err := e.bind(ctx, before, e.lasting(e.Idle/2))
	if err != nil {
		return err
	}
	e.Advance(e.Idle / 8)
	proved, err := session.Now(ctx, before)
	if err != nil {
		return wrong(err, nil, "Now")
	}
	second, err := e.prove(ctx, first, e.lasting(e.Idle/4))
	if err != nil {
		return err
	}
	err = errors.Join(tells("the session of Bind", first, bound, e.Idle/2), tells("the session of Prove", second, proved, e.Idle/4))
	for what, s := range map[string]session.Session{"the first bound token": first, "the newest token": second, "a rotation": first} {
		l, err2 := e.load(ctx, s)
		if what == "a rotation" {
			l, err2 = e.rotate(ctx, s, 0)
		}
		if err2 != nil {
			return err2
		}
		if s == second {
			err = errors.Join(err, tells(what, l, proved, e.Idle/4))
		} else {
			err = errors.Join(err, tells(what, l, bound, e.Idle/2))
		}
	}
	l, err2 := e.store.Get(ctx, first.ID())
	if err2 != nil {
		return wrong(err2, nil, "Get of a live session")
	}
	err = errors.Join(err, tells("a session loaded by its id", l, proved, e.Idle/4))
	if e.lists() {
		infos, err2 := e.users.UserSessions(ctx, "ada")
		switch {
		case err2 != nil:
			return wrong(err2, nil, "UserSessions")
		case len(infos) != 1:
			return fmt.Errorf("UserSessions: got %d sessions, want 1", len(infos))
		}
		info, _ := session.Describe(l)
		err = errors.Join(err, sameInfo("UserSessions beside Describe", infos[0], info))
	}
	if l, err2 = e.load(ctx, before); err2 != nil {
		return err2
	}
	return errors.Join(err, unproved("a session opened by the token from before Bind", l, true))
}
