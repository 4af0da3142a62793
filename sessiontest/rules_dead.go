package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mist-contrib/session"
)

func deadStaysDead() []rule {
	return []rule{
		{"Remove ends the session", 0, removeEnds},
		{"Remove may be repeated, and Remove of an unknown id is no error", 0, removeTwice},
		{"no write after Remove", 0, writeAfter(removed)},
		{"no write after expiry", 0, writeAfter(expired)},
		{"no Refresh after Remove", 0, refreshAfter(removed)},
		{"no Refresh after expiry", 0, refreshAfter(expired)},
		{"no rotation after Remove", TokenStore, rotateAfter(removed)},
		{"no rotation after expiry", TokenStore, rotateAfter(expired)},
		{"Remove kills every token of the session", TokenStore, removeKillsTokens},
		{"Remove wins against concurrent writes, refreshes and rotations", 0, removeWins},
		{"Remove wins against an Update in progress", Updater, removeWinsUpdate},
	}
}

func removed(ctx context.Context, e *env, s session.Session) error {
	if err := e.store.Remove(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Remove")
	}
	return nil
}

func expired(_ context.Context, e *env, _ session.Session) error {
	e.Advance(e.after(e.Idle))
	return nil
}

type ending func(ctx context.Context, e *env, s session.Session) error

func removeEnds(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	other, err := e.generate(ctx)
	if err != nil {
		return err
	}
	if err := e.alive(ctx, s); err != nil {
		return err
	}
	if err := removed(ctx, e, s); err != nil {
		return err
	}
	return errors.Join(e.gone(ctx, s), e.alive(ctx, other))
}

func removeTwice(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for i, id := range []string{s.ID(), s.ID(), "8f2fdb4c-0000-4000-8000-000000000000"} {
		if err := e.store.Remove(ctx, id); err != nil {
			return wrong(err, nil, "%s", []string{"Remove", "Remove for the second time", "Remove of an unknown id"}[i])
		}
	}
	return e.gone(ctx, s)
}

func writeAfter(end ending) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		for name, write := range e.writes() {
			made, err := e.generateWith(ctx, "kept", 1)
			if err != nil {
				return err
			}
			loaded, err := e.load(ctx, made)
			if err != nil {
				return err
			}
			if err := end(ctx, e, made); err != nil {
				return err
			}
			for _, s := range []session.Session{made, loaded} {
				if err := write(ctx, s); !errors.Is(err, session.ErrNotFound) {
					return wrong(err, session.ErrNotFound, "%s of an ended session", name)
				}
			}
			if err := e.gone(ctx, made); err != nil {
				return fmt.Errorf("after %s: %w", name, err)
			}
		}
		return nil
	}
}

func refreshAfter(end ending) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		s, err := e.generate(ctx)
		if err != nil {
			return err
		}
		if err := end(ctx, e, s); err != nil {
			return err
		}
		if err := e.store.Refresh(ctx, s.ID()); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Refresh of an ended session")
		}
		return e.gone(ctx, s)
	}
}

func rotateAfter(end ending) func(ctx context.Context, e *env) error {
	return func(ctx context.Context, e *env) error {
		s, err := e.generate(ctx)
		if err != nil {
			return err
		}
		if err := end(ctx, e, s); err != nil {
			return err
		}
		if _, err := e.tokens.Rotate(ctx, session.Token(s), time.Hour); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Rotate of an ended session")
		}
		return e.gone(ctx, s)
	}
}

func removeKillsTokens(ctx context.Context, e *env) error {
	first, err := e.generate(ctx)
	if err != nil {
		return err
	}
	second, err := e.tokens.Rotate(ctx, session.Token(first), time.Hour)
	if err != nil {
		return wrong(err, nil, "Rotate")
	}
	if err := removed(ctx, e, first); err != nil {
		return err
	}
	return errors.Join(e.gone(ctx, first), e.gone(ctx, second))
}

func removeWins(ctx context.Context, e *env) error {
	for range 5 {
		s, err := e.generateWith(ctx, "kept", 1)
		if err != nil {
			return err
		}
		loaded := make([]session.Session, many)
		for i := range loaded {
			if loaded[i], err = e.load(ctx, s); err != nil {
				return err
			}
		}
		var over atomic.Bool
		err = together(func(i int) error {
			if i == 0 {
				defer over.Store(true)
				return removed(ctx, e, s)
			}
			// Every goroutine goes on until Remove has returned.
			for after := 0; after < 3; {
				if over.Load() {
					after++
				}
				var call string
				var err error
				switch {
				case i%3 == 1:
					call, err = "Refresh", e.store.Refresh(ctx, s.ID())
				case i%3 == 2 && e.tokens != nil:
					call = "Rotate"
					_, err = e.tokens.Rotate(ctx, session.Token(s), e.Idle)
				default:
					call, err = "Set", loaded[i].Set(ctx, "late", i)
				}
				if err != nil && !errors.Is(err, session.ErrNotFound) {
					return unexpected(err, "no error or session.ErrNotFound", "%s during Remove", call)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := e.gone(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func removeWinsUpdate(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	err = session.Update(ctx, s, "kept", func(any) (any, error) {
		return 2, removed(ctx, e, s)
	})
	if !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Update of a session that f removes")
	}
	return e.gone(ctx, s)
}
