package sessiontest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mist-contrib/session"
)

func devicesDead() []rule {
	return []rule{
		{"no proof brings a session back", devices, proofAfterEnd},
		{"a login of the same user ends the binding", devices, loginUnbinds(session.Login{User: "ada"})},
		{"Reauthentication ends the binding", devices, loginUnbinds(session.Login{User: "ada", Reauthentication: true})},
		{"an ended token of a bound session logs nobody in", devices, endedLogsIn},
	}
}

func devicesLost() []rule {
	return []rule{
		{"a lost answer of Bind locks nobody out", devices, bindAnswerLost},
		{"a lost answer of Prove locks nobody out", devices, proveAnswerLost},
		{"concurrent proofs each get a valid token", devices, proversGoOn},
		{"a proof beyond the store's bound is refused and ends no token", devices, tooManyProofs},
		{"ended tokens and challenges leave room for new ones", devices, overLeavesRoom},
		{"writers survive Bind and Prove", devices, writersSurviveDevices},
	}
}

func proofAfterEnd(ctx context.Context, e *env) error {
	revoked := func(ctx context.Context, e *env, _ session.Session) error { return e.revoke(ctx, "ada", 1) }
	for how, end := range map[string]ending{"Remove": removed, "RemoveUserSessions": revoked, "expiry": expired} {
		before, first, err := e.bound(ctx, e.proof(aDevice))
		if err != nil {
			return err
		}
		second, err := e.prove(ctx, first, e.proof(aDevice))
		if err != nil {
			return err
		}
		if err := end(ctx, e, first); err != nil {
			return err
		}
		for _, s := range []session.Session{before, first, second} {
			err := errors.Join(
				e.refusesProof(ctx, s, e.proof(aDevice), session.ErrNotFound),
				e.refusesBind(ctx, s, e.proof(aDevice), session.ErrNotFound), e.gone(ctx, s),
			)
			if err != nil {
				return fmt.Errorf("after %s: %w", how, err)
			}
		}
	}
	return nil
}

func loginUnbinds(l session.Login) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		before, first, err := e.bound(ctx, e.proof(aDevice))
		if err != nil {
			return err
		}
		second, err := e.prove(ctx, first, e.proof(aDevice))
		if err != nil {
			return err
		}
		again, err := e.login(ctx, first, l)
		if err != nil {
			return fmt.Errorf("with a bound token: %w", err)
		}
		for _, old := range []session.Session{before, first, second} {
			if err := errors.Join(e.dead(ctx, old), e.refusesBind(ctx, old, e.proof(aDevice), session.ErrNotFound)); err != nil {
				return err
			}
		}
		if err := e.refusesProof(ctx, again, e.proof(aDevice), session.ErrUnbound); err != nil {
			return fmt.Errorf("after a login: %w", err)
		}
		e.Advance(e.after(e.Idle / 2)) // longer than a bound token is valid
		if err := errors.Join(e.on(ctx, again, ""), e.holds(ctx, again, "kept", 1)); err != nil {
			return fmt.Errorf("after a login: %w", err)
		}
		anew, err := e.bind(ctx, again, e.proof(anotherDevice))
		if err != nil {
			return fmt.Errorf("after a login: %w", err)
		}
		return e.on(ctx, anew, anotherDevice)
	}
}

func endedLogsIn(ctx context.Context, e *env) error {
	_, first, err := e.bound(ctx, e.proof(aDevice))
	if err != nil {
		return err
	}
	e.Advance(e.after(e.Idle / 4))
	for _, again := range []bool{false, true} {
		if _, err := e.users.Login(ctx, session.Token(first), session.Login{User: "ada", Reauthentication: again}); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Login with a bound token after its end")
		}
	}
	if err := errors.Join(e.unproved(ctx, first), e.refusesBind(ctx, first, e.proof(anotherDevice), session.ErrNotFound)); err != nil {
		return err
	}
	next, err := e.prove(ctx, first, e.proof(aDevice))
	if err != nil {
		return err
	}
	return errors.Join(e.on(ctx, next, aDevice), e.has(ctx, "ada", next))
}

func bindAnswerLost(ctx context.Context, e *env) error {
	before, first, err := e.bound(ctx, e.proof(aDevice))
	if err != nil {
		return err
	}
	e.Advance(e.after(e.Idle / 2)) // the client never got the answer
	if err := errors.Join(e.alive(ctx, before), e.holds(ctx, before, "kept", 1), e.unproved(ctx, first)); err != nil {
		return fmt.Errorf("the old token of a client that lost the answer of Bind: %w", err)
	}
	l, err := e.load(ctx, before)
	if err != nil {
		return err
	}
	if session.Token(l) != session.Token(before) {
		return errors.New("Token of a session opened by the token from before Bind: got another token, want the same (the client cannot renew another)")
	}
	return nil
}

func proveAnswerLost(ctx context.Context, e *env) error {
	p := e.proof(aDevice)
	_, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, first); err != nil {
		return err
	}
	lost, err := e.prove(ctx, first, p)
	if err != nil {
		return err
	}
	if err := e.refusesProof(ctx, first, p, session.ErrReplayed); err != nil {
		return err
	}
	p.Challenge += "+"
	next, err := e.prove(ctx, first, p)
	if err != nil {
		return fmt.Errorf("with a new challenge, after a lost answer: %w", err)
	}
	if session.Token(lost) == session.Token(next) {
		return errors.New("Prove, twice: got the same token, want two tokens")
	}
	return errors.Join(e.alive(ctx, first), e.alive(ctx, next))
}

func proversGoOn(ctx context.Context, e *env) error {
	p := e.lasting(e.Idle)
	p.Grace = 0
	_, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, first); err != nil { // which ends the token from before Bind
		return err
	}
	e.Advance(e.after(0))
	var made [crowded]session.Session
	err = atOnce(crowded, func(i int) (err error) {
		if made[i], err = e.prove(ctx, first, e.lasting(e.Idle)); err != nil {
			return err
		}
		_, err = e.load(ctx, made[i])
		return err
	})
	if err != nil {
		return err
	}
	known := map[string]bool{session.Token(first): true}
	for _, s := range made {
		if known[session.Token(s)] {
			return errors.New("Prove, twice: got the same token, want two tokens")
		}
		known[session.Token(s)] = true
		if _, err := e.load(ctx, s); err != nil {
			return fmt.Errorf("the token of one of %d concurrent proofs: %w", crowded, err)
		}
	}
	return e.on(ctx, first, aDevice)
}

// tooManyProofs lets a store choose its bound, up to a limit.
func tooManyProofs(ctx context.Context, e *env) error {
	const most = 3 * crowded
	before, first, err := e.bound(ctx, e.lasting(e.Idle))
	if err != nil {
		return err
	}
	made := []session.Session{before, first}
	p := e.lasting(e.Idle / 2)
	p.Remember, p.Grace = e.Idle/2, 0
	for {
		p.Challenge += "+"
		s, err := e.devices.Prove(ctx, first.ID(), p)
		if errors.Is(err, session.ErrFull) {
			break
		}
		if err != nil {
			return unexpected(err, "no error or session.ErrFull", "Prove number %d", len(made)-1)
		}
		if made = append(made, s); len(made) > most {
			return fmt.Errorf("Prove many times: got %d valid tokens at once, want session.ErrFull before", len(made))
		}
	}
	for i, s := range made {
		if _, err := e.load(ctx, s); err != nil {
			return fmt.Errorf("token %d of %d, after Prove returned session.ErrFull: %w", i, len(made), err)
		}
	}
	e.Advance(e.after(e.Idle / 2))
	next, err := e.prove(ctx, first, p)
	if err != nil {
		return fmt.Errorf("with the challenge of a refused proof, after the tokens have ended: %w", err)
	}
	return e.alive(ctx, next)
}

func overLeavesRoom(ctx context.Context, e *env) error {
	p := e.lasting(e.Idle / 8)
	p.Remember, p.Grace = e.Idle/8, e.Idle*3/4
	before, first, err := e.bound(ctx, p)
	if err != nil {
		return err
	}
	for range 2 {
		for range crowded - 4 {
			p.Challenge += "+"
			if _, err := e.prove(ctx, first, p); err != nil {
				return fmt.Errorf("while at most %d tokens are valid: %w", crowded-2, err)
			}
		}
		if err := e.alive(ctx, before); err != nil { // its grace has not ended
			return fmt.Errorf("the token from before Bind, within its grace: %w", err)
		}
		e.Advance(e.after(e.Idle / 8))
	}
	return nil
}

func writersSurviveDevices(ctx context.Context, e *env) error {
	before, err := e.member(ctx, ada())
	if err != nil {
		return err
	}
	const rounds = 10
	return writtenMeanwhile(ctx, e, before, rounds, func() error {
		s, err := e.bind(ctx, before, e.lasting(e.Idle))
		for n := 0; err == nil && n < rounds; n++ {
			_, err = e.prove(ctx, s, e.lasting(e.Idle))
		}
		return err
	})
}
