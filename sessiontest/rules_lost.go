package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mist-contrib/session"
)

func nothingLost() []rule {
	return []rule{
		{"concurrent writes of different keys all survive", 0, differentKeys},
		{"reading writes nothing", 0, readingWritesNothing},
		{"Refresh writes nothing", 0, refreshWritesNothing},
		{"Delete removes its keys and no others", Deleter, deleteTakesItsOwn},
		{"writers of other keys survive Delete and Clear", Deleter, writersSurviveDelete},
		{"SetAll stores all or nothing", BatchSetter, allOrNothing},
		{"Update loses no increment", Updater, noIncrementLost},
		{"Pop gives a value to exactly one caller", Popper, popOnce},
	}
}

func differentKeys(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	const rounds = 10
	var loaded [many]session.Session // loaded before the first write
	for i := range loaded {
		if loaded[i], err = e.load(ctx, s); err != nil {
			return err
		}
	}
	err = together(func(i int) error {
		for n := range rounds {
			if err := loaded[i].Set(ctx, fmt.Sprintf("%d-%d", i, n), n); err != nil {
				return wrong(err, nil, "Set")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	for i := range many {
		for n := range rounds {
			if err := shows(ctx, l, fmt.Sprintf("%d-%d", i, n), n); err != nil {
				return err
			}
		}
	}
	return nil
}

func readingWritesNothing(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "key", "first")
	if err != nil {
		return err
	}
	reader, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "key", "second"); err != nil {
		return wrong(err, nil, "Set")
	}
	if err := s.Set(ctx, "other", "third"); err != nil {
		return wrong(err, nil, "Set")
	}
	if _, err := reader.Get(ctx, "key"); err != nil {
		return wrong(err, nil, "Get")
	}
	if _, err := reader.Get(ctx, "absent"); err != nil {
		return wrong(err, nil, "Get")
	}
	if e.Capabilities&Ranger != 0 {
		all, err := session.All(ctx, reader)
		if err != nil {
			return wrong(err, nil, "All")
		}
		for range all { // only read
		}
	}
	return errors.Join(e.holds(ctx, s, "key", "second"), e.holds(ctx, s, "other", "third"), e.holds(ctx, s, "absent", nil))
}

func refreshWritesNothing(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "key", "first")
	if err != nil {
		return err
	}
	if err := e.store.Refresh(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Refresh")
	}
	return e.holds(ctx, s, "key", "first")
}

func deleteTakesItsOwn(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for _, key := range []string{"a", "b", "c", "ab"} {
		if err := s.Set(ctx, key, key); err != nil {
			return wrong(err, nil, "Set")
		}
	}
	if err := session.Delete(ctx, s, "a", "c", "absent"); err != nil {
		return wrong(err, nil, "Delete")
	}
	return errors.Join(
		e.holds(ctx, s, "a", nil), e.holds(ctx, s, "b", "b"), e.holds(ctx, s, "c", nil), e.holds(ctx, s, "ab", "ab"),
		shows(ctx, s, "a", nil), shows(ctx, s, "b", "b"),
	)
}

func writersSurviveDelete(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "doomed", 1)
	if err != nil {
		return err
	}
	stale, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "written since", 2); err != nil {
		return wrong(err, nil, "Set")
	}
	if err := session.Delete(ctx, stale, "doomed"); err != nil {
		return wrong(err, nil, "Delete")
	}
	if err := errors.Join(e.holds(ctx, s, "doomed", nil), e.holds(ctx, s, "written since", 2)); err != nil {
		return err
	}
	if err := session.Clear(ctx, stale); err != nil {
		return wrong(err, nil, "Clear")
	}
	if err := errors.Join(e.holds(ctx, s, "written since", nil), e.alive(ctx, s)); err != nil {
		return err
	}
	if err := stale.Set(ctx, "after", 3); err != nil {
		return wrong(err, nil, "Set")
	}
	return e.holds(ctx, s, "after", 3)
}

func allOrNothing(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", "old")
	if err != nil {
		return err
	}
	err = session.SetAll(ctx, s, map[string]any{"kept": "new", "more": 1, "bad": func() {}})
	if !errors.Is(err, session.ErrValue) {
		return wrong(err, session.ErrValue, "SetAll with a value that cannot be stored")
	}
	if err := errors.Join(e.holds(ctx, s, "kept", "old"), e.holds(ctx, s, "more", nil), shows(ctx, s, "more", nil)); err != nil {
		return err
	}
	if err := session.SetAll(ctx, s, map[string]any{"kept": "new", "more": 1}); err != nil {
		return wrong(err, nil, "SetAll")
	}
	return errors.Join(e.holds(ctx, s, "kept", "new"), e.holds(ctx, s, "more", 1), shows(ctx, s, "more", 1))
}

func noIncrementLost(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	const each = 5
	err = together(func(int) error {
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		for range each {
			_ = e.store.Refresh(ctx, s.ID()) // on a slow machine this loop may outlast the idle timeout
			err := session.Update(ctx, l, "counter", func(old any) (any, error) {
				n, _ := old.(int)
				return n + 1, nil
			})
			if err != nil {
				return wrong(err, nil, "Update")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.holds(ctx, s, "counter", many*each)
}

func popOnce(ctx context.Context, e *env) error {
	for n := range 10 {
		s, err := e.generateWith(ctx, "flash", n)
		if err != nil {
			return err
		}
		var got atomic.Int32
		err = together(func(int) error {
			l, err := e.load(ctx, s)
			if err != nil {
				return err
			}
			v, err := session.Pop(ctx, l, "flash")
			if err == nil && v != nil {
				got.Add(1)
				if !same(v, n) {
					err = differs("Pop", v, n)
				}
				return errors.Join(err, shows(ctx, l, "flash", nil))
			}
			if err != nil {
				return wrong(err, nil, "Pop")
			}
			return nil
		})
		if err != nil {
			return err
		}
		if got.Load() != 1 {
			return fmt.Errorf("Pop by many at once: got the value %d times, want once", got.Load())
		}
		if err := e.holds(ctx, s, "flash", nil); err != nil {
			return err
		}
	}
	return nil
}
