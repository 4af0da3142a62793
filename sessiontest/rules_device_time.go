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
		{"the token from before lives until the first bound one was seen, then for its grace", devices, bindGrace(seenByOpen)},
		{"a proof shows that the first bound token was seen", devices, bindGrace(seenByProof)},
		{"a proof leaves every token its own end", devices, ownEnds},
		{"no binding and no proof moves a deadline", devices, provesNoLife},
		{"Describe tells when a bound token ends", devices | Clock, describesProof},
	}
}

func boundDeadline(ctx context.Context, e *env) error {
	p := e.proof(aDevice)
	_, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	for range 2 { // the end of a binding's token, and of a proof's
		object, err := e.load(ctx, first)
		if err != nil {
			return err
		}
		e.Advance(e.before(p.Lifetime))
		if err := e.alive(ctx, first); err != nil {
			return fmt.Errorf("just before the end of a bound token: %w", err)
		}
		if err := e.store.Refresh(ctx, first.ID()); err != nil { // which moves no end of a token
			return fmt.Errorf("Refresh: %w", err)
		}
		e.Advance(e.after(p.Lifetime) - e.before(p.Lifetime))
		if err := e.unproved(ctx, first); err != nil {
			return err
		}
		if _, err := e.open(ctx, first.ID()+"."+strings.Repeat("A", 26)+"DEVICE"); !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrUnproved) {
			return fmt.Errorf("Open with a token that was never there: got %v, want ErrNotFound alone", err)
		}
		if _, err := e.tokens.Rotate(ctx, session.Token(first), e.Idle); !errors.Is(err, session.ErrNotFound) {
			return fmt.Errorf("Rotate with a bound token after its end: got %v, want ErrNotFound", err)
		}
		if err := object.Set(ctx, "late", 1); err != nil {
			return fmt.Errorf("Set by a request that began before the end of its token: %w", err)
		}
		ended := first
		p.Challenge += "+"
		if first, err = e.prove(ctx, ended, p); err != nil {
			return fmt.Errorf("once the token has ended: %w", err)
		}
		if err := errors.Join(e.unproved(ctx, ended), e.alive(ctx, first), e.holds(ctx, first, "kept", 1), e.holds(ctx, first, "late", 1)); err != nil {
			return fmt.Errorf("after a proof: %w", err)
		}
	}
	return nil
}

// seenByOpen and seenByProof are two ways to see the first bound token.

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
		e.Advance(e.after(grace)) // the first bound one was not seen: no grace has begun
		if err := e.alive(ctx, before); err != nil {
			return fmt.Errorf("token from before, the bound one not seen: %w", err)
		}
		if err := see(ctx, e, first); err != nil {
			return err
		}
		e.Advance(e.before(grace))
		if err := e.alive(ctx, before); err != nil {
			return fmt.Errorf("token from before, within its grace: %w", err)
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
	third, err := e.prove(ctx, first, e.lasting(step)) // before the others
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

func provesNoLife(ctx context.Context, e *env) error {
	before, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	made, err := session.Describe(before)
	if err != nil {
		return err
	}
	same := func(call string, s session.Session) error {
		info, err := session.Describe(s)
		if err != nil {
			return err
		}
		if !info.LastSeen.Equal(made.LastSeen) || !info.IdleDeadline.Equal(made.IdleDeadline) || !info.AbsoluteDeadline.Equal(made.AbsoluteDeadline) ||
			!info.AuthenticatedAt.Equal(made.AuthenticatedAt) || !info.CreatedAt.Equal(made.CreatedAt) {
			return fmt.Errorf("%s moved a time that Describe tells", call)
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
	if info, err := session.Describe(before); err != nil || info.Bound || !info.ProvedUntil.IsZero() {
		return fmt.Errorf("description of a session that is not bound: %v, or Bound %t until %v", err, info.Bound, info.ProvedUntil)
	}
	// tells reports an error unless the token of s ends lifetime after the time from.
	tells := func(what string, s session.Session, from time.Time, lifetime time.Duration) error {
		info, err := session.Describe(s)
		if err != nil {
			return err
		}
		if d := info.ProvedUntil.Sub(from.Add(lifetime)); !info.Bound || d < -time.Millisecond || d > e.Slack+time.Millisecond {
			return fmt.Errorf("description of %s: Bound %t, and ProvedUntil is off by %v", what, info.Bound, d)
		}
		return nil
	}
	bound, err := session.Now(ctx, before)
	if err != nil {
		return err
	}
	first, err := e.bind(ctx, before, e.lasting(e.Idle/2))
	if err != nil {
		return err
	}
	e.Advance(e.Idle / 8)
	proved, err := session.Now(ctx, before)
	if err != nil {
		return err
	}
	second, err := e.prove(ctx, first, e.lasting(e.Idle/4))
	if err != nil {
		return err
	}
	err = errors.Join(tells("the session of Bind", first, bound, e.Idle/2), tells("the session of Prove", second, proved, e.Idle/4))
	for what, s := range map[string]session.Session{"the first bound token": first, "the newest token": second, "a rotation": first} {
		l, err2 := e.load(ctx, s)
		if what == "a rotation" {
			l, err2 = e.tokens.Rotate(ctx, session.Token(s), 0)
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
		return err2
	}
	err = errors.Join(err, tells("a session loaded by its id", l, proved, e.Idle/4))
	if e.lists() {
		infos, err2 := e.users.UserSessions(ctx, "ada")
		if err2 != nil || len(infos) != 1 {
			return fmt.Errorf("UserSessions: got %d and %v, want 1", len(infos), err2)
		}
		if info, _ := session.Describe(l); infos[0] != info {
			err = errors.Join(err, fmt.Errorf("UserSessions: got %+v, want %+v as Describe tells", infos[0], info))
		}
	}
	if l, err2 = e.load(ctx, before); err2 != nil {
		return err2
	}
	if info, err2 := session.Describe(l); err2 != nil || !info.Bound || !info.ProvedUntil.IsZero() {
		err = errors.Join(err, fmt.Errorf("description of the token from before: %v, or Bound %t until %v", err2, info.Bound, info.ProvedUntil))
	}
	return err
}
