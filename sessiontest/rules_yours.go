package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mist-contrib/session"
)

func yoursOnly() []rule {
	return []rule{
		{"concurrent sessions do not mix", 0, doNotMix},
		{"the secret of one session opens no other", TokenStore, foreignSecret},
		{"every character of a secret counts", TokenStore, everyCharacter},
		{"an id alone opens nothing", TokenStore, idIsNoToken},
		{"an old session object cannot write to a new session with the same id", 0, reusedID},
	}
}

func doNotMix(ctx context.Context, e *env) error {
	return together(func(i int) error {
		mine := fmt.Sprintf("visitor %d", i)
		s, err := e.generateWith(ctx, "name", mine)
		if err != nil {
			return err
		}
		for range 20 {
			if err := e.holds(ctx, s, "name", mine); err != nil {
				return err
			}
		}
		return nil
	})
}

func foreignSecret(ctx context.Context, e *env) error {
	a, err := e.generate(ctx)
	if err != nil {
		return err
	}
	b, err := e.generate(ctx)
	if err != nil {
		return err
	}
	_, secret, _ := strings.Cut(session.Token(a), ".")
	if _, err := e.tokens.Open(ctx, b.ID()+"."+secret); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Open of one session's id with another session's secret")
	}
	return nil
}

func everyCharacter(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	token := []byte(session.Token(s))
	for i := len(s.ID()) + 1; i < len(token); i++ {
		was := token[i]
		if token[i] = 'A'; was == 'A' {
			token[i] = 'B'
		}
		if _, err := e.tokens.Open(ctx, string(token)); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Open of a token whose character %d was changed", i)
		}
		token[i] = was
	}
	return e.alive(ctx, s)
}

func idIsNoToken(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for _, token := range []string{s.ID(), s.ID() + ".", s.ID() + "." + strings.Repeat("A", 26)} {
		if _, err := e.tokens.Open(ctx, token); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Open of an id without its secret")
		}
	}
	return nil
}

func reusedID(ctx context.Context, e *env) error {
	old, err := e.generateWith(ctx, "kept", "old")
	if err != nil {
		return err
	}
	if err := e.store.Remove(ctx, old.ID()); err != nil {
		return wrong(err, nil, "Remove")
	}
	s, err := e.generateID(ctx, old.ID())
	if err != nil {
		return err
	}
	if err := e.holds(ctx, s, "kept", nil); err != nil {
		return fmt.Errorf("the new session is not empty: %w", err)
	}
	if err := s.Set(ctx, "kept", "new"); err != nil {
		return wrong(err, nil, "Set by the new session")
	}
	for name, write := range e.writes() {
		if err := write(ctx, old); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "%s by the old session object", name)
		}
	}
	return e.holds(ctx, s, "kept", "new")
}
