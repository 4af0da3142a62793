package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mist-contrib/session"
)

func rotation() []rule {
	return []rule{
		{"Rotate gives a new token to the same session", TokenStore, rotateKeepsAll},
		{"the old token is valid until the new one is used, then for the grace", TokenStore, graceBegins},
		{"without grace the old token ends when the new one is used", TokenStore, noGrace},
		{"Rotate with an old token returns the newest", TokenStore, oldTokensConverge},
		{"concurrent calls of Rotate return the same new token", TokenStore, racersConverge},
		{"a rotation whose answer was lost logs nobody out", TokenStore, lostAnswer},
		{"writers survive rotation", TokenStore, writersSurviveRotation},
		{"a negative grace is refused", TokenStore, negativeGrace},
	}
}

func (e *env) rotate(ctx context.Context, s session.Session, grace time.Duration) (session.Session, error) {
	r, err := e.tokens.Rotate(ctx, session.Token(s), grace)
	switch {
	case err != nil:
		return nil, wrong(err, nil, "Rotate")
	case r == nil:
		return nil, errors.New("Rotate: got no session and no error, want one of them")
	case r.ID() != s.ID():
		return nil, errors.New("Rotate: got a session with another id, want the same id")
	case session.Token(r) == "":
		return nil, errors.New("Rotate: got a session without a token, want the new token")
	}
	return r, nil
}

// dead reports an error unless the token of s is refused.
func (e *env) dead(ctx context.Context, s session.Session) error {
	if _, err := e.open(ctx, session.Token(s)); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Open of an old token after its end")
	}
	return nil
}

func rotateKeepsAll(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	r, err := e.rotate(ctx, s, time.Hour)
	if err != nil {
		return err
	}
	if session.Token(r) == session.Token(s) {
		return errors.New("Rotate: got the old token, want a new one")
	}
	if err := s.Set(ctx, "by the old object", 2); err != nil {
		return wrong(err, nil, "Set by a session that was loaded before Rotate")
	}
	if err := r.Set(ctx, "by the new object", 3); err != nil {
		return wrong(err, nil, "Set by the session that Rotate returned")
	}
	return errors.Join(
		shows(ctx, r, "kept", 1), e.holds(ctx, r, "kept", 1),
		e.holds(ctx, r, "by the old object", 2), e.holds(ctx, r, "by the new object", 3),
	)
}

func graceBegins(ctx context.Context, e *env) error {
	grace := e.Idle / 4
	first, err := e.generate(ctx)
	if err != nil {
		return err
	}
	second, err := e.rotate(ctx, first, grace)
	if err != nil {
		return err
	}
	e.Advance(e.after(2 * grace)) // nobody has used the new one, so no grace has begun
	if err := e.alive(ctx, first); err != nil {
		return fmt.Errorf("the old token, while nobody has used the new one: %w", err)
	}
	if err := e.alive(ctx, second); err != nil { // the first use
		return fmt.Errorf("the new token: %w", err)
	}
	e.Advance(e.before(grace))
	if err := e.alive(ctx, first); err != nil {
		return fmt.Errorf("the old token within its grace: %w", err)
	}
	e.Advance(e.after(grace) - e.before(grace))
	return errors.Join(e.dead(ctx, first), e.alive(ctx, second))
}

func noGrace(ctx context.Context, e *env) error {
	first, err := e.generate(ctx)
	if err != nil {
		return err
	}
	second, err := e.rotate(ctx, first, 0)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, first); err != nil {
		return fmt.Errorf("the old token, while nobody has used the new one: %w", err)
	}
	if err := e.alive(ctx, second); err != nil {
		return fmt.Errorf("the new token: %w", err)
	}
	e.Advance(e.after(0))
	return e.dead(ctx, first)
}

func oldTokensConverge(ctx context.Context, e *env) error {
	first, err := e.generate(ctx)
	if err != nil {
		return err
	}
	second, err := e.rotate(ctx, first, e.Idle)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, second); err != nil {
		return err
	}
	third, err := e.rotate(ctx, second, e.Idle)
	if err != nil {
		return err
	}
	for _, old := range []session.Session{first, second} {
		loser, err := e.rotate(ctx, old, e.Idle)
		if err != nil {
			return fmt.Errorf("an old token within its grace: %w", err)
		}
		if session.Token(loser) != session.Token(third) {
			return errors.New("Rotate of an old token: got another token, want the newest one")
		}
		again, err := e.load(ctx, old)
		if err != nil {
			return fmt.Errorf("an old token within its grace: %w", err)
		}
		if session.Token(again) != session.Token(third) {
			return errors.New("Token of a session opened by an old token: got another token, want the newest one, which the client should carry")
		}
	}
	return e.alive(ctx, third)
}

func racersConverge(ctx context.Context, e *env) error {
	for range 5 {
		s, err := e.generate(ctx)
		if err != nil {
			return err
		}
		got := make([]string, many)
		err = together(func(i int) error {
			r, err := e.rotate(ctx, s, e.Idle)
			if err == nil {
				got[i] = session.Token(r)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, token := range got {
			if token != got[0] || token == session.Token(s) {
				return errors.New("Rotate by many at once: got different tokens or the old one, want one new token for all")
			}
		}
		if _, err := e.open(ctx, got[0]); err != nil {
			return wrong(err, nil, "Open of the new token")
		}
	}
	return nil
}

func lostAnswer(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	lost, err := e.rotate(ctx, s, 0)
	if err != nil {
		return err
	}
	e.Advance(e.Idle / 2)
	if err := e.alive(ctx, s); err != nil {
		return fmt.Errorf("the old token of a client that lost the new one: %w", err)
	}
	retried, err := e.rotate(ctx, s, 0)
	if err != nil {
		return fmt.Errorf("by a client that lost the new token: %w", err)
	}
	if session.Token(retried) != session.Token(lost) {
		return errors.New("Rotate by a client that lost the new token: got another token, want the same new token again")
	}
	return e.alive(ctx, retried)
}

func writersSurviveRotation(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	const rounds = 20
	return writtenMeanwhile(ctx, e, s, rounds, func() error {
		r := s
		for range rounds {
			var err error
			if r, err = e.rotate(ctx, r, e.Idle); err != nil {
				return err
			}
		}
		return nil
	})
}

// writtenMeanwhile calls meanwhile once, while other goroutines write to a session in so
// many rounds, each under its own keys. It returns an error unless every value is stored at
// the end.
func writtenMeanwhile(ctx context.Context, e *env, s session.Session, rounds int, meanwhile func() error) error {
	err := together(func(i int) error {
		if i == 0 {
			return meanwhile()
		}
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		for n := range rounds {
			if err := l.Set(ctx, fmt.Sprintf("%d-%d", i, n), n); err != nil {
				return wrong(err, nil, "Set")
			}
		}
		return nil
	})
	if err != nil {
		return wrong(err, nil, "Set")
	}
	l, err := e.store.Get(ctx, s.ID())
	if err != nil {
		return wrong(err, nil, "Get")
	}
	for i := 1; i < many; i++ {
		for n := range rounds {
			if err := shows(ctx, l, fmt.Sprintf("%d-%d", i, n), n); err != nil {
				return err
			}
		}
	}
	return nil
}

func negativeGrace(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	if _, err := e.tokens.Rotate(ctx, session.Token(s), -1); err == nil || errors.Is(err, session.ErrNotFound) {
		return unexpected(err, ownError, "Rotate with a negative grace")
	}
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if session.Token(l) != session.Token(s) {
		return errors.New("Token after a Rotate with a negative grace: got another token, want the token from before")
	}
	return nil
}
