package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

func devicesSame() []rule {
	return []rule{
		{"Rotate returns the token of a bound session unchanged", devices, rotatesNoBound},
		{"an invalid Proof is refused and changes nothing", devices, badProofs},
	}
}

func devicesBounded() []rule {
	return []rule{{"Bind and Prove end with their context, and change nothing", devices, devicesEnd}}
}

func devicesQuiet() []rule {
	return []rule{{"no token, device or challenge in an error of Bind or Prove", devices, devicesSayNothing}}
}

func rotatesNoBound(ctx context.Context, e *env) error {
	oldest, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	before, err := e.rotate(ctx, oldest, e.Idle)
	if err != nil {
		return err
	}
	first, err := e.bind(ctx, before, e.proof(aDevice))
	if err != nil {
		return err
	}
	second, err := e.prove(ctx, first, e.proof(aDevice))
	if err != nil {
		return err
	}
	for i, s := range []session.Session{oldest, before, first, second} {
		for range 2 {
			r, err := e.rotate(ctx, s, 0)
			if err != nil {
				return fmt.Errorf("token %d of a bound session: %w", i, err)
			}
			if session.Token(r) != session.Token(s) {
				return fmt.Errorf("Rotate of token %d of a bound session: got another token, want the same", i)
			}
		}
	}
	e.Advance(e.after(e.Idle / 4))
	return errors.Join(e.unproved(ctx, first), e.unproved(ctx, second))
}

func badProofs(ctx context.Context, e *env) error {
	free, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	_, first, err := e.bound(ctx, e.proof(aDevice))
	if err != nil {
		return err
	}
	day := 24 * time.Hour
	for what, bad := range map[string]func(p *session.Proof){
		"no device":                        func(p *session.Proof) { p.Device = "" },
		"a device of 1025 bytes":           func(p *session.Proof) { p.Device = strings.Repeat("d", 1025) },
		"no lifetime":                      func(p *session.Proof) { p.Lifetime = 0 },
		"a negative lifetime":              func(p *session.Proof) { p.Lifetime = -1 << 63 },
		"a lifetime under a millisecond":   func(p *session.Proof) { p.Lifetime = time.Millisecond - 1 },
		"a lifetime over a day":            func(p *session.Proof) { p.Lifetime = day + 1 },
		"a negative grace":                 func(p *session.Proof) { p.Grace = -1 },
		"a grace over a day":               func(p *session.Proof) { p.Grace = 1<<63 - 1 },
		"a challenge remembered for -1 ns": func(p *session.Proof) { p.Remember = -1 },
		"a challenge remembered for ever":  func(p *session.Proof) { p.Remember = 1<<63 - 1 },
	} {
		p := e.proof(aDevice)
		bad(&p)
		_, err1 := e.devices.Bind(ctx, session.Token(free), p)
		_, err2 := e.devices.Prove(ctx, first.ID(), p)
		for _, err := range []error{err1, err2} {
			if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrUnbound) || errors.Is(err, session.ErrBound) {
				return unexpected(err, "an error that matches none of session.ErrNotFound, ErrUnbound and ErrBound", "Bind or Prove with %s", what)
			}
		}
	}
	if err := errors.Join(e.on(ctx, free, ""), e.on(ctx, first, aDevice), e.holds(ctx, first, "kept", 1)); err != nil {
		return err
	}
	_, err = e.bind(ctx, free, e.proof(strings.Repeat("d", 1024)))
	return err
}

func devicesEnd(ctx context.Context, e *env) error {
	free, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	_, first, err := e.bound(ctx, e.lasting(e.Idle))
	if err != nil {
		return err
	}
	p := e.proof(aDevice)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithDeadline(ctx, time.Unix(1, 0))
	defer cancel()
	for _, c := range []struct {
		ctx  context.Context //nolint:containedctx // a column of the table
		want error
	}{{canceled, context.Canceled}, {late, context.DeadlineExceeded}} {
		if err := errors.Join(e.refusesBind(c.ctx, free, p, c.want), e.refusesProof(c.ctx, first, p, c.want)); err != nil {
			return fmt.Errorf("with a context that has ended: %w", err)
		}
	}
	if err := errors.Join(e.on(ctx, free, ""), e.on(ctx, first, aDevice)); err != nil {
		return err
	}
	if _, err = e.prove(ctx, first, p); err != nil {
		return fmt.Errorf("with the challenge of a proof whose context had ended: %w", err)
	}
	return nil
}

func devicesSayNothing(ctx context.Context, e *env) error {
	before, first, err := e.bound(ctx, e.proof(aDevice))
	if err != nil {
		return err
	}
	free, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	p := e.proof("a secret device")
	again := e.proof(aDevice)
	if _, err := e.prove(ctx, first, again); err != nil {
		return err
	}
	bad := p
	bad.Lifetime = -1
	_, secret, _ := strings.Cut(session.Token(first), ".")
	_, older, _ := strings.Cut(session.Token(before), ".")
	quiet := func(call string, err error) error {
		if err == nil {
			return fmt.Errorf("%s: got no error, want one", call)
		}
		text := fmt.Sprintf("%v %+v %#v", err, err, err)
		for _, hidden := range []string{secret, older, p.Device, aDevice, p.Challenge, again.Challenge} {
			if strings.Contains(text, hidden) {
				return fmt.Errorf("%s: got an error that shows a token, a device or a challenge, want none of them", call)
			}
		}
		return nil
	}
	bind := func(what, token string, p session.Proof) error {
		_, err := e.devices.Bind(ctx, token, p)
		return quiet("Bind "+what, err)
	}
	prove := func(what, id string, p session.Proof) error {
		_, err := e.devices.Prove(ctx, id, p)
		return quiet("Prove "+what, err)
	}
	if err := errors.Join(
		bind("of a bound session", session.Token(first), p),
		bind("with the token from before Bind", session.Token(before), p),
		bind("with a malformed token", session.Token(first)+"A", p),
		bind("with a negative lifetime", session.Token(free), bad),
		prove("by another device", first.ID(), p),
		prove("with a negative lifetime", first.ID(), bad),
		prove("with an answered challenge", first.ID(), again),
		prove("with a token as the id", session.Token(first), p),
		prove("of an unbound session", free.ID(), p),
	); err != nil {
		return err
	}
	e.Advance(e.after(e.Idle / 4))
	_, err = e.open(ctx, session.Token(first))
	return quiet("Open of a bound token after its end", err)
}
