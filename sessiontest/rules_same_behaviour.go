package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

func sameBehaviour() []rule {
	return []rule{
		{"a session shows what was loaded plus its own writes", 0, ownView},
		{"Update and Pop act on what is stored", Updater | Popper, actOnStored},
		{"Update passes nil for an absent key and returns the error of f", Updater, updateEdges},
		{"Generate leaves a live session alone", 0, generateOnlyCreates},
		{"of many calls of Generate with one id exactly one succeeds", 0, oneCreator},
		{"All lists what Get returns", Ranger, allIsGet},
		{"Clear empties the session and does not end it", Deleter, clearEmpties},
		{"only a session that was made or opened with a token has it", TokenStore, tokenKnown},
	}
}

func ownView(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "a", "loaded")
	if err != nil {
		return err
	}
	one, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	two, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if err := errors.Join(one.Set(ctx, "a", "one"), one.Set(ctx, "b", "one"), two.Set(ctx, "c", "two")); err != nil {
		return wrong(err, nil, "Set")
	}
	return errors.Join(
		shows(ctx, one, "a", "one"), shows(ctx, one, "b", "one"), shows(ctx, one, "c", nil),
		shows(ctx, two, "a", "loaded"), shows(ctx, two, "b", nil), shows(ctx, two, "c", "two"),
		e.holds(ctx, s, "a", "one"), e.holds(ctx, s, "b", "one"), e.holds(ctx, s, "c", "two"),
	)
}

func actOnStored(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "n", 1)
	if err != nil {
		return err
	}
	stale, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if err := errors.Join(s.Set(ctx, "n", 10), s.Set(ctx, "new", "x")); err != nil {
		return wrong(err, nil, "Set")
	}
	err = session.Update(ctx, stale, "n", func(old any) (any, error) {
		n, _ := old.(int)
		return n + 1, nil
	})
	if err != nil {
		return wrong(err, nil, "Update")
	}
	got, err := session.Pop(ctx, stale, "new")
	switch {
	case err != nil:
		return wrong(err, nil, "Pop of a value that was set after the session was loaded")
	case !same(got, "x"):
		return differs("Pop of a value that was set after the session was loaded", got, "x")
	}
	return errors.Join(e.holds(ctx, s, "n", 11), shows(ctx, stale, "n", 11), e.holds(ctx, s, "new", nil), shows(ctx, stale, "new", nil))
}

func updateEdges(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	mine := errors.New("mine")
	err = session.Update(ctx, s, "n", func(old any) (any, error) {
		if old != nil {
			return nil, differs("Update of an absent key: the argument of f", old, nil)
		}
		return 1, mine
	})
	if !errors.Is(err, mine) {
		return unexpected(err, "the error that f returned", "Update")
	}
	for _, bad := range []any{nil, func() {}} {
		err = session.Update(ctx, s, "n", func(any) (any, error) { return bad, nil })
		if !errors.Is(err, session.ErrValue) {
			return wrong(err, session.ErrValue, "Update whose f returns %s", typeOf(bad))
		}
	}
	if err := errors.Join(e.holds(ctx, s, "n", nil), shows(ctx, s, "n", nil)); err != nil {
		return err
	}
	// f may use the session, because no lock is held while it runs.
	err = session.Update(ctx, s, "n", func(any) (any, error) {
		return 2, s.Set(ctx, "other", 3)
	})
	if err != nil {
		return wrong(err, nil, "Update whose f writes another key")
	}
	return errors.Join(e.holds(ctx, s, "n", 2), e.holds(ctx, s, "other", 3), shows(ctx, s, "other", 3))
}

func generateOnlyCreates(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", "old")
	if err != nil {
		return err
	}
	if _, err := e.store.Generate(ctx, s.ID()); !errors.Is(err, session.ErrExists) {
		return wrong(err, session.ErrExists, "Generate with the id of a live session")
	}
	return errors.Join(e.alive(ctx, s), e.holds(ctx, s, "kept", "old"))
}

func oneCreator(ctx context.Context, e *env) error {
	for range 10 {
		var made atomic.Int32
		id := uuid.NewString()
		err := together(func(int) error {
			_, err := e.store.Generate(ctx, id)
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, session.ErrExists):
				return unexpected(err, "no error or session.ErrExists", "Generate by many at once")
			}
			return nil
		})
		if err != nil {
			return err
		}
		if made.Load() != 1 {
			return fmt.Errorf("Generate by %d at once: got %d sessions of one id, want 1", many, made.Load())
		}
	}
	return nil
}

func allIsGet(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	want := map[string]any{"": 1, "b": "two", "c": []byte{3}}
	for key, v := range want {
		if err := s.Set(ctx, key, v); err != nil {
			return wrong(err, nil, "Set")
		}
	}
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	for _, s := range []session.Session{s, l} {
		all, err := session.All(ctx, s)
		if err != nil {
			return wrong(err, nil, "All")
		}
		got := maps.Collect(all)
		if !same(got, want) {
			return differs("All", got, want)
		}
		n := 0
		for range all {
			n++
			break
		}
		if n != 1 {
			return fmt.Errorf("All, ranged over again with a break: got %d values, want 1", n)
		}
	}
	return nil
}

func clearEmpties(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "a", 1)
	if err != nil {
		return err
	}
	if err := session.Clear(ctx, s); err != nil {
		return wrong(err, nil, "Clear")
	}
	return errors.Join(shows(ctx, s, "a", nil), e.holds(ctx, s, "a", nil), e.alive(ctx, s))
}

func tokenKnown(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	opened, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if session.Token(s) == "" || session.Token(opened) != session.Token(s) {
		return errors.New("Token of a session that Generate or Open returned: got none or another token, want the token that it was made or opened with")
	}
	got, err := e.store.Get(ctx, s.ID())
	if err != nil {
		return wrong(err, nil, "Get")
	}
	if session.Token(got) != "" {
		return errors.New("Token of a session that Get returned: got a token, want none (the store must not know the secret)")
	}
	return nil
}
