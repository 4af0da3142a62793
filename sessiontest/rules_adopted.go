package sessiontest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

func noneAdopted() []rule {
	return []rule{
		{"a call with an unknown id creates no session", 0, unknownMakesNone},
		{"a token that the store did not issue names nothing", TokenStore, unknownToken},
		{"an id with special characters is refused or reaches no other session", 0, strangeIDs},
	}
}

func unknownMakesNone(ctx context.Context, e *env) error {
	id := uuid.NewString()
	if _, err := e.store.Get(ctx, id); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Get of an unknown id")
	}
	if err := e.store.Refresh(ctx, id); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Refresh of an unknown id")
	}
	if err := e.store.Remove(ctx, id); err != nil {
		return wrong(err, nil, "Remove of an unknown id")
	}
	if _, err := e.store.Get(ctx, id); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Get of an id after Get, Refresh and Remove of it")
	}
	_, err := e.generateID(ctx, id)
	return err
}

func unknownToken(ctx context.Context, e *env) error {
	id := uuid.NewString()
	token := id + "." + strings.Repeat("B", 26)
	if _, err := e.tokens.Open(ctx, token); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Open of a token of no session")
	}
	if _, err := e.tokens.Rotate(ctx, token, time.Hour); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Rotate of a token of no session")
	}
	s, err := e.generateID(ctx, id)
	if err != nil {
		return err
	}
	if _, err := e.tokens.Open(ctx, token); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Open with a secret that was sent before Generate made the session")
	}
	return e.alive(ctx, s)
}

func strangeIDs(ctx context.Context, e *env) error {
	witness, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	ids := []string{
		"", " ", "*", "?", "[a-z]", "{tag}", "a b", "a\nb", "a\r\nDEL x", "\x00", "é", "../up", "a.b", "a:b",
		witness.ID() + "*", witness.ID() + "\x00", "*" + witness.ID(), strings.Repeat("x", 100_000),
	}
	for _, id := range ids {
		made, err := e.store.Generate(ctx, id)
		switch {
		case errors.Is(err, session.ErrInvalidID):
			if _, err := e.store.Get(ctx, id); !errors.Is(err, session.ErrNotFound) {
				return wrong(err, session.ErrNotFound, "Get of the id %q, which Generate refused", short(id))
			}
			if err := e.store.Refresh(ctx, id); !errors.Is(err, session.ErrNotFound) {
				return wrong(err, session.ErrNotFound, "Refresh of the id %q, which Generate refused", short(id))
			}
		case err != nil:
			return unexpected(err, "no error or session.ErrInvalidID", "Generate of the id %q", short(id))
		default:
			if err := made.Set(ctx, "mine", true); err != nil {
				return wrong(err, nil, "Set by a session with the id %q", short(id))
			}
			if err := e.holds(ctx, made, "mine", true); err != nil {
				return err
			}
		}
		if err := e.store.Remove(ctx, id); err != nil {
			return wrong(err, nil, "Remove of the id %q", short(id))
		}
	}
	return errors.Join(e.holds(ctx, witness, "kept", 1), e.holds(ctx, witness, "mine", nil))
}
