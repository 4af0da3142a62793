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

// devices is the capability that a rule about devices needs.
const devices = DeviceStore | users

const (
	aDevice       = "the device"
	anotherDevice = "another device"

	crowded = 64 // how many proofs run at once
)

func devicesYours() []rule {
	return []rule{
		{"Bind gives one session a device, byte for byte", devices, bindStores},
		{"a session is bound once, to the first device", devices, bindOnce},
		{"of many calls of Bind for one session exactly one succeeds", devices, bindersCompete},
		{"only a live token binds its session", devices, bindNeedsToken},
		{"a proof by another device is refused and changes nothing", devices, proofOfAnother},
		{"a challenge can be answered once", devices, challengeOnce},
		{"of many proofs with one challenge exactly one succeeds", devices, repliesCompete},
	}
}

// proof returns a proof of a device, with a fresh challenge.
func (e *env) proof(device string) session.Proof {
	return session.Proof{Device: device, Challenge: uuid.NewString(), Remember: e.Idle, Lifetime: e.Idle / 4, Grace: e.Idle / 4}
}

func (e *env) bind(ctx context.Context, s session.Session, p session.Proof) (session.Session, error) {
	b, err := e.devices.Bind(ctx, session.Token(s), p)
	return fresh("Bind", s, b, err)
}

// prove gives the device of the session of s a new token.
func (e *env) prove(ctx context.Context, s session.Session, p session.Proof) (session.Session, error) {
	b, err := e.devices.Prove(ctx, s.ID(), p)
	return fresh("Prove", s, b, err)
}

// fresh reports an error unless got is the session of s with another token.
func fresh(call string, s, got session.Session, err error) (session.Session, error) {
	switch {
	case err != nil:
		return nil, wrong(err, nil, "%s", call)
	case got == nil:
		return nil, fmt.Errorf("%s: got no session and no error, want one of them", call)
	case got.ID() != s.ID():
		return nil, fmt.Errorf("%s: got a session with another id, want the same id", call)
	case session.Token(got) == "" || session.Token(got) == session.Token(s):
		return nil, fmt.Errorf("%s: got a session without a new token, want one", call)
	}
	return got, nil
}

// bound makes a session of ada and binds it to aDevice. before has its unbound token, first
// its bound token, which nobody has used.
func (e *env) bound(ctx context.Context, p session.Proof) (before, first session.Session, err error) {
	if before, err = e.member(ctx, ada()); err != nil {
		return nil, nil, err
	}
	if err := before.Set(ctx, "kept", 1); err != nil {
		return nil, nil, wrong(err, nil, "Set")
	}
	first, err = e.bind(ctx, before, p)
	return before, first, err
}

// on reports an error unless the session of s, loaded by its token and by its id, is bound
// to a device. An empty device means none.
func (e *env) on(ctx context.Context, s session.Session, device string) error {
	opened, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	got, err := e.store.Get(ctx, s.ID())
	if err != nil {
		return wrong(err, nil, "Get of a live session")
	}
	for way, s := range map[string]session.Session{"Open": opened, "Get": got} {
		d, err := session.DeviceOf(s)
		if err != nil {
			return wrong(err, nil, "DeviceOf of a session that %s returned", way)
		}
		if d != device {
			return differs("DeviceOf of a session that "+way+" returned", d, device)
		}
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		if info.Bound != (device != "") {
			return differs("Describe of a session that "+way+" returned: Bound", info.Bound, device != "")
		}
	}
	return nil
}

// lasting returns a proof of aDevice whose token is valid for d.
func (e *env) lasting(d time.Duration) session.Proof {
	p := e.proof(aDevice)
	p.Lifetime = d
	return p
}

// refusesProof reports an error unless the proof is refused with want.
func (e *env) refusesProof(ctx context.Context, s session.Session, p session.Proof, want error) error {
	if _, err := e.devices.Prove(ctx, s.ID(), p); !errors.Is(err, want) {
		return wrong(err, want, "Prove")
	}
	return nil
}

// refusesBind reports an error unless Bind with the token of s is refused with want.
func (e *env) refusesBind(ctx context.Context, s session.Session, p session.Proof, want error) error {
	if _, err := e.devices.Bind(ctx, session.Token(s), p); !errors.Is(err, want) {
		return wrong(err, want, "Bind")
	}
	return nil
}

// unproved reports an error unless the token of s has ended and its session is alive.
func (e *env) unproved(ctx context.Context, s session.Session) error {
	if _, err := e.open(ctx, session.Token(s)); !errors.Is(err, session.ErrUnproved) || !errors.Is(err, session.ErrNotFound) {
		return unexpected(err, "session.ErrUnproved, which also matches session.ErrNotFound", "Open of a bound token after its end")
	}
	if _, err := e.store.Get(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Get after the end of a bound token")
	}
	return nil
}

// shown reports an error unless the session that a call returned is bound to a device.
func shown(call string, s session.Session, device string) error {
	got, err := session.DeviceOf(s)
	if err != nil {
		return wrong(err, nil, "DeviceOf of the session that %s returned", call)
	}
	if got != device {
		return differs("DeviceOf of the session that "+call+" returned", got, device)
	}
	return nil
}

func bindStores(ctx context.Context, e *env) error {
	other, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	for _, device := range []string{"x", "\x00", strings.Repeat("d", 1024), "\xff\xfe\x00'\"\\{*}\r\n", "é", "5", "0", "false"} {
		p := e.proof(device)
		before, first, err := e.bound(ctx, p)
		if err != nil {
			return fmt.Errorf("device %q: %w", short(device), err)
		}
		err = errors.Join(
			shows(ctx, first, "kept", 1), e.holds(ctx, first, "kept", 1), e.belongs(ctx, first, "ada"),
			e.on(ctx, first, device), e.on(ctx, before, device), e.on(ctx, other, ""),
		)
		if err != nil {
			return fmt.Errorf("device %q: %w", short(device), err)
		}
		if err := shown("Bind", first, device); err != nil {
			return err
		}
		second, err := e.prove(ctx, first, e.proof(device))
		if err != nil {
			return fmt.Errorf("device %q: %w", short(device), err)
		}
		if err := shown("Prove", second, device); err != nil {
			return err
		}
		if err := errors.Join(e.on(ctx, second, device), e.holds(ctx, second, "kept", 1)); err != nil {
			return fmt.Errorf("device %q: %w", short(device), err)
		}
	}
	visitor, err := e.generate(ctx) // a store binds anonymous sessions too
	if err != nil {
		return err
	}
	mine, err := e.bind(ctx, visitor, e.proof(aDevice))
	if err != nil {
		return fmt.Errorf("of an anonymous session: %w", err)
	}
	return errors.Join(e.on(ctx, mine, aDevice), e.on(ctx, other, ""))
}

func bindOnce(ctx context.Context, e *env) error {
	p := e.proof(aDevice)
	p.Lifetime = e.Idle * 3 / 4
	before, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	for _, device := range []string{aDevice, anotherDevice} {
		for _, s := range []session.Session{before, first} {
			if err := e.refusesBind(ctx, s, e.proof(device), session.ErrBound); err != nil {
				return fmt.Errorf("of a bound session: %w", err)
			}
		}
	}
	e.Advance(e.after(p.Grace)) // the grace has not begun, because nobody has used the first token
	if err := errors.Join(e.on(ctx, before, aDevice), e.on(ctx, first, aDevice)); err != nil {
		return fmt.Errorf("after a second Bind: %w", err)
	}
	if err := e.refusesProof(ctx, first, e.proof(anotherDevice), session.ErrUnbound); err != nil {
		return fmt.Errorf("by the device of the second Bind: %w", err)
	}
	_, err = e.prove(ctx, first, e.proof(aDevice))
	return err
}

func bindersCompete(ctx context.Context, e *env) error {
	for range 4 {
		before, err := e.member(ctx, ada())
		if err != nil {
			return err
		}
		won := make([]session.Session, many)
		err = together(func(i int) error {
			s, err := e.devices.Bind(ctx, session.Token(before), e.proof(fmt.Sprint("device ", i)))
			switch {
			case err == nil && s != nil:
				won[i] = s
			case !errors.Is(err, session.ErrBound):
				return unexpected(err, "a session or session.ErrBound", "Bind by many at once")
			}
			return nil
		})
		if err != nil {
			return err
		}
		winners := 0
		for i, s := range won {
			if s != nil {
				winners++
				if err := e.on(ctx, s, fmt.Sprint("device ", i)); err != nil {
					return fmt.Errorf("the session of a Bind that succeeded: %w", err)
				}
			}
		}
		if winners != 1 {
			return fmt.Errorf("Bind by many at once: got %d successes for one session, want 1", winners)
		}
	}
	return nil
}

func bindNeedsToken(ctx context.Context, e *env) error {
	old, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	s, err := e.rotate(ctx, old, 0)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, s); err != nil {
		return err
	}
	e.Advance(e.after(0))
	id := s.ID()
	for _, guess := range []string{
		"", id, id + ".", id + "." + strings.Repeat("A", 26), id + "." + strings.Repeat("A", 26) + "DEVICE",
		session.Token(s) + "A", session.Token(old), uuid.NewString() + session.Token(s)[len(id):],
	} {
		if _, err := e.devices.Bind(ctx, guess, e.proof(aDevice)); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Bind with a string that is no live token")
		}
	}
	if err := errors.Join(e.on(ctx, s, ""), e.refusesProof(ctx, s, e.proof(aDevice), session.ErrUnbound)); err != nil {
		return err
	}
	if err := removed(ctx, e, s); err != nil {
		return err
	}
	return e.refusesBind(ctx, s, e.proof(aDevice), session.ErrNotFound)
}

func proofOfAnother(ctx context.Context, e *env) error {
	p := e.proof(aDevice)
	before, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	free, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	challenge := e.proof(aDevice)
	for _, device := range []string{anotherDevice, aDevice + "\x00", aDevice[1:], aDevice + " ", strings.ToUpper(aDevice), "\x00"} {
		challenge.Device = device
		if err := e.refusesProof(ctx, first, challenge, session.ErrUnbound); err != nil {
			return fmt.Errorf("by another device: %w", err)
		}
	}
	challenge.Device = aDevice
	if err := e.refusesProof(ctx, free, challenge, session.ErrUnbound); err != nil {
		return fmt.Errorf("of a session that is bound to no device: %w", err)
	}
	for _, id := range []string{uuid.NewString(), "", "a.b", session.Token(first), strings.Repeat("x", 200)} {
		if _, err := e.devices.Prove(ctx, id, challenge); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Prove with a string that is no live id")
		}
	}
	if err := errors.Join(e.on(ctx, free, ""), e.on(ctx, before, aDevice), e.on(ctx, first, aDevice)); err != nil {
		return err
	}
	if _, err := e.prove(ctx, first, challenge); err != nil {
		return fmt.Errorf("with the challenge of refused proofs, by the device of the session: %w", err)
	}
	return nil
}

func challengeOnce(ctx context.Context, e *env) error {
	_, first, err := e.bound(ctx, e.proof(aDevice))
	if err != nil {
		return err
	}
	_, other, err := e.bound(ctx, e.proof(aDevice))
	if err != nil {
		return err
	}
	p := e.proof(aDevice)
	p.Lifetime, p.Remember = e.Idle*3/4, e.Idle/2
	var tokens []session.Session
	for range 5 {
		s, err := e.prove(ctx, first, p)
		if err != nil {
			return err
		}
		if err := e.refusesProof(ctx, first, p, session.ErrReplayed); err != nil {
			return fmt.Errorf("with a challenge that was answered a moment ago: %w", err)
		}
		tokens = append(tokens, s)
		p.Challenge += "+"
	}
	e.Advance(e.before(p.Remember))
	for range 5 {
		p.Challenge = strings.TrimSuffix(p.Challenge, "+")
		if err := e.refusesProof(ctx, first, p, session.ErrReplayed); err != nil {
			return fmt.Errorf("with a challenge that was answered less than Remember ago: %w", err)
		}
	}
	for _, s := range tokens {
		if err := e.on(ctx, s, aDevice); err != nil {
			return fmt.Errorf("after refused proofs: %w", err)
		}
	}
	if _, err := e.prove(ctx, other, p); err != nil {
		return fmt.Errorf("with a challenge that another session answered: %w", err)
	}
	return nil
}

func repliesCompete(ctx context.Context, e *env) error {
	for range 4 {
		_, first, err := e.bound(ctx, e.proof(aDevice))
		if err != nil {
			return err
		}
		p := e.proof(aDevice)
		p.Lifetime = e.Idle * 3 / 4
		var won atomic.Int32
		err = atOnce(crowded, func(int) error {
			s, err := e.devices.Prove(ctx, first.ID(), p)
			switch {
			case err == nil:
				won.Add(1)
				_, err = e.load(ctx, s)
				return err
			case !errors.Is(err, session.ErrReplayed):
				return unexpected(err, "a session or session.ErrReplayed", "Prove by many at once")
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n := won.Load(); n != 1 {
			return fmt.Errorf("Prove by many at once: got %d successes for one challenge, want 1", n)
		}
	}
	return nil
}
