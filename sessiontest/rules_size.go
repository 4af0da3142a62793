package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mist-contrib/session"
)

// filled makes a session with room bytes below the limit. Its values are texts: each is encoded in one byte
// more than it has.
func (e *env) filled(ctx context.Context, room int) (s session.Session, values map[string]string, err error) {
	first := strings.Repeat("v", session.MaxValueSize-1)
	values = map[string]string{"a": first, "b": first[:session.MaxSize-session.MaxValueSize-len("a-b")-room]}
	if s, err = e.generate(ctx); err != nil {
		return nil, nil, err
	}
	for key, text := range values {
		if err := s.Set(ctx, key, text); err != nil {
			return nil, nil, wrong(err, nil, "Set of values that leave room for %d bytes", room)
		}
	}
	return s, values, nil
}

// A sized is a write that either fits or exceeds the limit.
type sized struct {
	how    string
	values map[string]string // the values that it stores
	gone   []string          // the keys that it removes
	fits   bool
	write  func() error
}

// sizes makes the writes one after the other, and compares the stored values after each.
func (e *env) sizes(ctx context.Context, s session.Session, stored map[string]string, writes []sized) error {
	for _, w := range writes {
		err := w.write()
		switch {
		case w.fits && err != nil:
			return wrong(err, nil, "%s", w.how)
		case !w.fits && !errors.Is(err, session.ErrTooLarge):
			return wrong(err, session.ErrTooLarge, "%s", w.how)
		case w.fits:
			maps.Copy(stored, w.values)
			maps.DeleteFunc(stored, func(key, _ string) bool { return slices.Contains(w.gone, key) })
		}
		l, err := e.load(ctx, s)
		if err != nil {
			return fmt.Errorf("after %s: %w", w.how, err)
		}
		for _, key := range []string{"a", "b", "c", "d", "ee"} {
			var want any
			if text, ok := stored[key]; ok {
				want = text
			}
			if err := errors.Join(shows(ctx, l, key, want), shows(ctx, s, key, want)); err != nil {
				return fmt.Errorf("after %s: %w", w.how, err)
			}
		}
	}
	return nil
}

// set is a Set of a text.
func set(ctx context.Context, s session.Session, how, key, text string, fits bool) sized {
	return sized{how, map[string]string{key: text}, nil, fits, func() error { return s.Set(ctx, key, text) }}
}

func sizeIsExact(ctx context.Context, e *env) error {
	s, stored, err := e.filled(ctx, 0)
	if err != nil {
		return err
	}
	b := stored["b"]
	return e.sizes(ctx, s, stored, []sized{
		set(ctx, s, "Set of a further key, at the limit", "c", "", false),
		set(ctx, s, "Set of a value that is a byte longer, at the limit", "b", b+"v", false),
		set(ctx, s, "Set of a value of the same size, at the limit", "b", "w"+b[1:], true),
		set(ctx, s, "Set of a value that is shorter", "b", b[3:], true),
		set(ctx, s, "Set where the key is a byte too long", "ee", "v", false),
		set(ctx, s, "Set of a value that fits", "ee", "", true),
		set(ctx, s, "Set of a value that is a byte longer, at the limit again", "b", b[2:], false),
	})
}

func sizeOfEveryWrite(ctx context.Context, e *env) error {
	s, stored, err := e.filled(ctx, 0)
	if err != nil {
		return err
	}
	a, b := stored["a"], stored["b"]
	all := func(how string, fits bool, values map[string]string) sized {
		return sized{how, values, nil, fits, func() error {
			boxed := make(map[string]any)
			for key, text := range values {
				boxed[key] = text
			}
			return session.SetAll(ctx, s, boxed)
		}}
	}
	update := func(how, key, text string, fits bool) sized {
		return sized{how, map[string]string{key: text}, nil, fits, func() error {
			return session.Update(ctx, s, key, func(any) (any, error) { return text, nil })
		}}
	}
	take := func(how string, gone []string, write func() error) sized { return sized{how, nil, gone, true, write} }
	return e.sizes(ctx, s, stored, []sized{
		all("SetAll of a byte too much", false, map[string]string{"b": b[2:], "c": "v"}),
		all("SetAll of values that fit", true, map[string]string{"b": b[4:], "c": "", "d": ""}),
		update("Update that makes a value longer, at the limit", "c", "v", false),
		update("Update of a further key, at the limit", "ee", "", false),
		take("Pop", []string{"c"}, func() error { _, err := session.Pop(ctx, s, "c"); return err }),
		set(ctx, s, "Set of a byte more than Pop removed", "d", "vvv", false),
		set(ctx, s, "Set of as much as Pop removed", "d", "vv", true),
		take("Delete", []string{"d"}, func() error { return session.Delete(ctx, s, "d", "none", "d") }),
		update("Update of a byte more than Delete removed", "c", "vvv", false),
		update("Update of as much as Delete removed", "c", "vv", true),
		take("Clear", []string{"a", "b", "c"}, func() error { return session.Clear(ctx, s) }),
		all("SetAll of a byte too much after Clear", false, map[string]string{"a": a, "b": b + "v"}),
		all("SetAll of as much as possible after Clear", true, map[string]string{"a": a, "b": b}),
	})
}

func sizeTogether(ctx context.Context, e *env) error {
	const writers, fit = 8, 3
	text := strings.Repeat("w", 1000)
	s, _, err := e.filled(ctx, fit*(len(text)+len("-0"))+len(text))
	if err != nil {
		return err
	}
	var stored atomic.Int32
	err = atOnce(writers, func(i int) error {
		err := s.Set(ctx, fmt.Sprint(i), text)
		switch {
		case err == nil:
			stored.Add(1)
		case !errors.Is(err, session.ErrTooLarge):
			return unexpected(err, "no error, or session.ErrTooLarge", "Set by one of %d writers", writers)
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
	found := 0
	for i := range writers {
		v, err := l.Get(ctx, fmt.Sprint(i))
		if err != nil {
			return wrong(err, nil, "Get")
		}
		if v != nil {
			found++
		}
	}
	if got := int(stored.Load()); got != fit || found != fit {
		return fmt.Errorf("Set by %d writers at once: got %d successes and %d stored values, want %d of each, because the session has room for no more", writers, got, found, fit)
	}
	return nil
}

func loginKeepsSize(ctx context.Context, e *env) error {
	s, stored, err := e.filled(ctx, len("c-vv"))
	if err != nil {
		return err
	}
	holds := func(s session.Session, c any) error {
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		return errors.Join(shows(ctx, l, "a", stored["a"]), shows(ctx, l, "c", c))
	}
	login := func(token, what string, values map[string]any) error {
		if _, err := e.users.Login(ctx, token, session.Login{User: "ada", Values: values}); !errors.Is(err, session.ErrTooLarge) {
			return wrong(err, session.ErrTooLarge, "Login %s, with a value too many", what)
		}
		return nil
	}
	if err := errors.Join(
		login(session.Token(s), "of an anonymous session", map[string]any{"c": "vvv"}), holds(s, nil),
		login("", "from no session", map[string]any{"a": stored["a"], "b": stored["b"], "c": "vvv"}),
	); err != nil {
		return err
	}
	in, err := e.login(ctx, s, session.Login{User: "ada", Values: map[string]any{"c": "vv"}})
	if err != nil {
		return fmt.Errorf("with a value that fits: %w", err)
	}
	if err := errors.Join(holds(in, "vv"), login(session.Token(in), "of the same user", map[string]any{"c": "vvv"}), holds(in, "vv")); err != nil {
		return err
	}
	if err := in.Set(ctx, "d", ""); !errors.Is(err, session.ErrTooLarge) {
		return wrong(err, session.ErrTooLarge, "Set after the login, at the limit")
	}
	if in, err = e.login(ctx, in, session.Login{User: "ada", Values: map[string]any{"c": "", "d": ""}}); err != nil {
		return fmt.Errorf("of the same user, with values that fit: %w", err)
	}
	return holds(in, "")
}
