package sessiontest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mist-contrib/session"
)

func copies() []rule {
	return []rule{
		{"changing a value after Set does not change the session", 0, setCopies},
		{"changing a value that Get returned does not change the session", 0, getCopies},
		{"changing a value of All or Update does not change the session", Ranger | Updater, othersCopy},
	}
}

// mutable returns values that share memory unless they are copied.
func mutable() map[string]func() any {
	session.Register[*sample]()
	session.Register[sample]()
	session.Register[map[string]int]()
	return map[string]func() any{
		"bytes":             func() any { return []byte("abc") },
		"map":               func() any { return map[string]int{"a": 1} },
		"pointer":           func() any { return &sample{Name: "a"} },
		"slice in a struct": func() any { return sample{Tags: []string{"a"}} },
	}
}

// mutate changes such a value in place. It ignores a value of a wrong type, which another
// rule reports.
func mutate(v any) {
	switch v := v.(type) {
	case []byte:
		clear(v)
	case map[string]int:
		v["b"] = 2
	case *sample:
		if v != nil {
			v.Name = "X"
		}
	case sample:
		clear(v.Tags)
	}
}

func setCopies(ctx context.Context, e *env) error {
	for name, fresh := range mutable() {
		v := fresh()
		want := fresh()
		s, err := e.generateWith(ctx, "key", v)
		if err != nil {
			return err
		}
		mutate(v)
		if err := errors.Join(shows(ctx, s, "key", want), e.holds(ctx, s, "key", want)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func getCopies(ctx context.Context, e *env) error {
	for name, fresh := range mutable() {
		v := fresh()
		want := fresh()
		s, err := e.generateWith(ctx, "key", v)
		if err != nil {
			return err
		}
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		for _, s := range []session.Session{s, l} {
			got, err := s.Get(ctx, "key")
			if err != nil {
				return wrong(err, nil, "Get")
			}
			mutate(got)
			if err := errors.Join(shows(ctx, s, "key", want), e.holds(ctx, s, "key", want)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func othersCopy(ctx context.Context, e *env) error {
	for name, fresh := range mutable() {
		v := fresh()
		want := fresh()
		s, err := e.generateWith(ctx, "key", v)
		if err != nil {
			return err
		}
		all, err := session.All(ctx, s)
		if err != nil {
			return wrong(err, nil, "All")
		}
		for _, v := range all {
			mutate(v)
		}
		mine := errors.New("mine")
		err = session.Update(ctx, s, "key", func(old any) (any, error) {
			mutate(old)
			return nil, mine
		})
		if !errors.Is(err, mine) {
			return unexpected(err, "the error that f returned", "Update")
		}
		var handed any
		err = session.Update(ctx, s, "other", func(any) (any, error) {
			handed = fresh()
			return handed, nil
		})
		if err != nil {
			return wrong(err, nil, "Update")
		}
		mutate(handed)
		if err := errors.Join(
			shows(ctx, s, "key", want), e.holds(ctx, s, "key", want),
			shows(ctx, s, "other", want), e.holds(ctx, s, "other", want),
		); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
