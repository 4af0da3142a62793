package sessiontest

import (
	"context"
	"errors"
	"strings"

	"github.com/mist-contrib/session"
)

func bounded() []rule {
	return []rule{
		{"Update ends with its context", Updater, updateEnds},
		{"hostile tokens are not found", TokenStore, hostileTokens},
	}
}

func updateEnds(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	err = session.Update(during, s, "kept", func(any) (any, error) {
		cancel()
		return 2, nil
	})
	if !errors.Is(err, context.Canceled) {
		return wrong(err, context.Canceled, "Update whose context ends while f runs")
	}
	return e.holds(ctx, s, "kept", 1)
}

func hostileTokens(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	good := session.Token(s)
	for _, token := range []string{
		"", ".", "..", s.ID() + ".", "." + good, good + ".", good + " ", " " + good, good + "\x00", strings.ToLower(good), strings.ToUpper(good) + "1",
		good[:len(good)-1], good + "A", good[:len(good)/2] + good[len(good)/2+1:], good[:len(s.ID())] + ":" + good[len(s.ID())+1:], strings.Repeat(good, 1000),
		"\xff\xfe" + good, "é" + good, "*." + strings.Repeat("A", 26), strings.Repeat("A", 1<<20) + "." + strings.Repeat("A", 26),
	} {
		if _, err := e.tokens.Open(ctx, token); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Open of a hostile token")
		}
		if _, err := e.tokens.Rotate(ctx, token, 0); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Rotate of a hostile token")
		}
	}
	return e.alive(ctx, s)
}
