package session_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

type (
	keyed struct {
		Items []string
		Notes map[string]int64
		Next  *keyed
		At    time.Time
	}
	keyedNumber int
	keyedOdd    struct {
		Kept int
		lost int
	}
)

// keyedSession makes a session. It returns the object of one request, and a function
// that loads the session as another request does.
func keyedSession(t *testing.T) (s session.Session, load func() session.Session) {
	t.Helper()
	store := &memory.Store{}
	s, err := store.Generate(t.Context(), "keyed")
	if err != nil {
		t.Fatal(err)
	}
	return s, func() session.Session {
		s, err := store.Get(t.Context(), "keyed")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// keyCase tests all methods of the key of one type.
func keyCase[T any](name string, v T) (string, func(t *testing.T)) {
	return name, func(t *testing.T) {
		t.Helper()
		ctx := t.Context()
		key, zero := session.NewKey[T](name), *new(T)
		if got := key.Name(); got != name {
			t.Errorf("Name: got %q, want %q", got, name)
		}
		s, load := keyedSession(t)
		expect := func(what string, want T, wantOK bool) func(T, bool, error) {
			return func(got T, ok bool, err error) {
				t.Helper()
				if err != nil || ok != wantOK || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %#v, %v, %v, want %#v, %v", what, got, ok, err, want, wantOK)
				}
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		expect("absent", zero, false)(key.Get(ctx, s))
		expect("Pop of absent", zero, false)(key.Pop(ctx, s))
		must(key.Delete(ctx, s))

		must(key.Set(ctx, s, v))
		expect("after Set", v, true)(key.Get(ctx, s))
		expect("in the next request", v, true)(key.Get(ctx, load()))

		must(key.Delete(ctx, s))
		expect("after Delete", zero, false)(key.Get(ctx, s))
		expect("after Delete, in the next request", zero, false)(key.Get(ctx, load()))

		must(key.Update(ctx, s, func(old T) (T, error) {
			expect("Update of absent", zero, true)(old, true, nil)
			return v, nil
		}))
		expect("after Update", v, true)(key.Get(ctx, s))
		must(key.Update(ctx, load(), func(old T) (T, error) {
			expect("second Update", v, true)(old, true, nil)
			return old, nil
		}))
		expect("Pop", v, true)(key.Pop(ctx, load()))
		expect("second Pop", zero, false)(key.Pop(ctx, load()))
		expect("after Pop", zero, false)(key.Get(ctx, load()))
	}
}

func TestKey(t *testing.T) {
	full := keyed{
		Items: []string{"", "a"}, Notes: map[string]int64{"n": -1}, Next: &keyed{Items: []string{}},
		At: time.Date(2026, 8, 2, 12, 0, 0, 1, time.UTC),
	}
	t.Run(keyCase("string", "x"))
	t.Run(keyCase("string empty", ""))
	t.Run(keyCase("bool", true))
	t.Run(keyCase("int", 42))
	t.Run(keyCase("int64", int64(-1)))
	t.Run(keyCase("float", 0.5))
	t.Run(keyCase("bytes", []byte{0, 255}))
	t.Run(keyCase("time", full.At))
	t.Run(keyCase("duration", time.Hour))
	t.Run(keyCase("named", keyedNumber(7)))
	t.Run(keyCase("struct", full))
	t.Run(keyCase("struct zero", keyed{}))
	t.Run(keyCase("pointer", &full))
	t.Run(keyCase("pointer nil", (*keyed)(nil)))
	t.Run(keyCase("slice", []keyed{full, {}}))
	t.Run(keyCase("map", map[string]*keyed{"a": &full, "b": nil}))
	t.Run(keyCase("array", [2]keyedNumber{1, 2}))
	t.Run(keyCase[any]("any, an int", 1))
	t.Run(keyCase[any]("any, a struct", full))
	t.Run(keyCase[fmt.Stringer]("interface, a duration", time.Minute))
	t.Run(keyCase("", "the empty name"))
	t.Run(keyCase("any bytes \x00\xff", "x"))
}

func TestKeyRefuses(t *testing.T) {
	ctx := t.Context()
	s, load := keyedSession(t)
	odd, anything, long := session.NewKey[keyedOdd]("odd"), session.NewKey[any]("any"), session.NewKey[string](strings.Repeat("k", 257))
	if err := errors.Join(odd.Set(ctx, s, keyedOdd{Kept: 1}), anything.Set(ctx, s, 1)); err != nil {
		t.Fatal(err)
	}
	type stranger struct{ A int }
	for name, tt := range map[string]struct{ got, want error }{
		"a value that would lose a part": {odd.Set(ctx, s, keyedOdd{lost: 1}), session.ErrValue},
		"Update to such a value":         {odd.Update(ctx, s, func(keyedOdd) (keyedOdd, error) { return keyedOdd{lost: 1}, nil }), session.ErrValue},
		"nil":                            {anything.Set(ctx, s, nil), session.ErrValue},
		"Update to nil":                  {anything.Update(ctx, s, func(any) (any, error) { return nil, nil }), session.ErrValue},
		"a type nobody registered":       {anything.Set(ctx, s, stranger{1}), session.ErrValue},
		"a key that is too long":         {long.Set(ctx, s, "x"), session.ErrTooLarge},
		"Update of such a key":           {long.Update(ctx, s, func(string) (string, error) { return "x", nil }), session.ErrTooLarge},
		"a value that is too large":      {anything.Set(ctx, s, make([]byte, 1<<20)), session.ErrTooLarge},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, tt.got, tt.want)
		}
	}
	for _, s := range []session.Session{s, load()} {
		if got, ok, err := odd.Get(ctx, s); got != (keyedOdd{Kept: 1}) || !ok || err != nil {
			t.Errorf("got %v, %v, %v, want the value as it was", got, ok, err)
		}
		if got, ok, err := anything.Get(ctx, s); got != 1 || !ok || err != nil {
			t.Errorf("got %v, %v, %v, want the value as it was", got, ok, err)
		}
	}
}

// wrongType reads a stored value by a key of another type.
func wrongType[T any](name string, stored any) (string, func(t *testing.T)) {
	return name, func(t *testing.T) {
		t.Helper()
		ctx := t.Context()
		key := session.NewKey[T]("k")
		s, load := keyedSession(t)
		if err := s.Set(ctx, "k", stored); err != nil {
			t.Fatal(err)
		}
		for who, s := range map[string]session.Session{"same request": s, "next request": load()} {
			v, ok, err := key.Get(ctx, s)
			if !errors.Is(err, session.ErrValue) || errors.Is(err, session.ErrNotFound) || ok || !reflect.ValueOf(&v).Elem().IsZero() {
				t.Errorf("%s: Get: got %v, %v, %v, want ErrValue", who, v, ok, err)
			}
			v, ok, err = key.Pop(ctx, s)
			if !errors.Is(err, session.ErrValue) || ok || !reflect.ValueOf(&v).Elem().IsZero() {
				t.Errorf("%s: Pop: got %v, %v, %v, want ErrValue", who, v, ok, err)
			}
			err = key.Update(ctx, s, func(old T) (T, error) {
				t.Errorf("%s: Update calls f with %v", who, old)
				return old, nil
			})
			if !errors.Is(err, session.ErrValue) {
				t.Errorf("%s: Update: got %v, want ErrValue", who, err)
			}
			for _, s := range []session.Session{s, load()} {
				if got, err := s.Get(ctx, "k"); err != nil || !reflect.DeepEqual(got, stored) {
					t.Errorf("%s: got %v, %v, want %v as before", who, got, err, stored)
				}
			}
		}
	}
}

func TestKeyOfAnotherType(t *testing.T) {
	session.Register[keyed]()
	session.Register[*keyed]() // whatever ran before
	t.Run(wrongType[string]("int as string", 1))
	t.Run(wrongType[int]("string as int", "1"))
	t.Run(wrongType[int]("int64 as int", int64(1)))
	t.Run(wrongType[keyedNumber]("int as named int", 1))
	t.Run(wrongType[string]("bytes as string", []byte("x")))
	t.Run(wrongType[keyed]("pointer as struct", &keyed{}))
	t.Run(wrongType[*keyed]("struct as pointer", keyed{}))
	t.Run(wrongType[[]string]("struct as slice", keyed{}))
	t.Run(wrongType[fmt.Stringer]("string as interface", "x"))
}

func TestKeyUpdate(t *testing.T) {
	ctx := t.Context()
	count, list := session.NewKey[int64]("count"), session.NewKey[[]string]("list")
	s, load := keyedSession(t)
	if err := list.Set(ctx, s, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	// Update returns an error of f as it is, and the change that f made to its copy has
	// no effect.
	failure := errors.New("no")
	err := list.Update(ctx, s, func(old []string) ([]string, error) {
		old[0] = "changed"
		return old, failure
	})
	if err != failure { //nolint:errorlint // as it is
		t.Errorf("got %v, want %v", err, failure)
	}
	if got, _, err := list.Get(ctx, load()); err != nil || !reflect.DeepEqual(got, []string{"a"}) {
		t.Errorf("got %q, %v, want [a]", got, err)
	}
	// Update works on the stored value, not on the one that s was loaded with.
	if err := count.Set(ctx, load(), 5); err != nil {
		t.Fatal(err)
	}
	if err := count.Update(ctx, s, func(old int64) (int64, error) { return old + 1, nil }); err != nil {
		t.Fatal(err)
	}
	for _, s := range []session.Session{s, load()} {
		if got, ok, err := count.Get(ctx, s); got != 6 || !ok || err != nil {
			t.Errorf("got %d, %v, %v, want 6", got, ok, err)
		}
	}
}

// TestKeyConcurrently: half of the goroutines share a session object, like the
// goroutines of one handler. Each of the others has its own.
func TestKeyConcurrently(t *testing.T) {
	const goroutines, each = 64, 100
	count, code := session.NewKey[int]("count"), session.NewKey[string]("code")
	shared, load := keyedSession(t)
	if err := code.Set(t.Context(), shared, "once"); err != nil {
		t.Fatal(err)
	}
	var popped atomic.Int64
	var wg sync.WaitGroup
	for i := range goroutines {
		s := shared
		if i%2 == 0 {
			s = load()
		}
		wg.Go(func() {
			for range each {
				session.Register[keyed]()
				session.NewKey[map[int]keyed]("other")
				if err := count.Update(t.Context(), s, func(old int) (int, error) { return old + 1, nil }); err != nil {
					t.Error(err)
				}
				if err := session.NewKey[keyed](fmt.Sprint(i)).Set(t.Context(), s, keyed{Items: []string{"x"}}); err != nil {
					t.Error(err)
				}
			}
			switch v, ok, err := code.Pop(t.Context(), s); {
			case err != nil || ok != (v == "once"):
				t.Errorf("got %q, %v, %v", v, ok, err)
			case ok:
				popped.Add(1)
			}
		})
	}
	wg.Wait()
	if got, _, err := count.Get(t.Context(), load()); got != goroutines*each || err != nil {
		t.Errorf("got %d, %v, want %d", got, err, goroutines*each)
	}
	if got := popped.Load(); got != 1 {
		t.Errorf("got the code %d times, want once", got)
	}
	for i := range goroutines {
		if _, ok, err := session.NewKey[keyed](fmt.Sprint(i)).Get(t.Context(), load()); !ok || err != nil {
			t.Errorf("key %d: got %v, %v", i, ok, err)
		}
	}
}

// TestKeyView tests invariant 5: a session shows the values that it was loaded with,
// and its own writes.
func TestKeyView(t *testing.T) {
	ctx := t.Context()
	a, b := session.NewKey[string]("a"), session.NewKey[string]("b")
	first, load := keyedSession(t)
	second := load()
	get := func(s session.Session, k session.Key[string]) string {
		t.Helper()
		v, ok, err := k.Get(ctx, s)
		if err != nil || ok != (v != "") {
			t.Errorf("got %q, %v, %v", v, ok, err)
		}
		return v
	}
	if err := errors.Join(a.Set(ctx, first, "first"), b.Set(ctx, second, "second")); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct{ got, want string }{
		"own write of the first":   {get(first, a), "first"},
		"write of the second":      {get(first, b), ""},
		"own write of the second":  {get(second, b), "second"},
		"write of the first":       {get(second, a), ""},
		"both, in a third request": {get(load(), a) + get(load(), b), "firstsecond"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", what, tt.got, tt.want)
		}
	}
	if v, ok, err := a.Pop(ctx, second); v != "first" || !ok || err != nil {
		t.Errorf("Pop acts on what is stored now: got %q, %v, %v", v, ok, err)
	}
	if got := get(first, a); got != "first" {
		t.Errorf("after another's Pop: got %q, want it as loaded", got)
	}
}

// TestKeyCopies tests invariant 9: values are copies.
func TestKeyCopies(t *testing.T) {
	ctx := t.Context()
	key := session.NewKey[*keyed]("k")
	s, load := keyedSession(t)
	in := &keyed{Items: []string{"a"}, Notes: map[string]int64{"a": 1}, Next: &keyed{}}
	want := &keyed{Items: []string{"a"}, Notes: map[string]int64{"a": 1}, Next: &keyed{}}
	scribble := func(k *keyed) { k.Items[0], k.Notes["b"], k.Next.Items = "b", 2, []string{"c"} }
	if err := key.Set(ctx, s, in); err != nil {
		t.Fatal(err)
	}
	scribble(in)
	for range 2 {
		for _, s := range []session.Session{s, load()} {
			got, _, err := key.Get(ctx, s)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, want)
			}
			scribble(got)
		}
	}
}

func TestKeyWithout(t *testing.T) {
	key := session.NewKey[string]("k")
	s, _ := keyedSession(t)
	if err := key.Set(t.Context(), s, "x"); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	removed := &memory.Store{}
	gone, err := removed.Generate(t.Context(), "gone")
	if err = errors.Join(err, removed.Remove(t.Context(), "gone")); err != nil {
		t.Fatal(err)
	}
	plain := struct{ session.Session }{s} // without capabilities
	without := func(ctx context.Context, what string, s session.Session, read, want error) {
		update := key.Update(ctx, s, func(old string) (string, error) { return old, nil })
		_, _, pop := key.Pop(ctx, s)
		for method, err := range map[string]error{"Update": update, "Pop": pop, "Delete": key.Delete(ctx, s)} {
			if !errors.Is(err, want) {
				t.Errorf("without %s: %s: got %v, want %v", what, method, err, want)
			}
		}
		if _, _, err := key.Get(ctx, s); !errors.Is(err, read) {
			t.Errorf("without %s: Get: got %v, want %v", what, err, read)
		}
	}
	without(t.Context(), "capabilities", plain, nil, errors.ErrUnsupported)
	without(ended, "time", s, context.Canceled, context.Canceled)
	without(t.Context(), "a session", gone, nil, session.ErrNotFound)
	if v, ok, err := key.Get(t.Context(), plain); v != "x" || !ok || err != nil {
		t.Errorf("got %q, %v, %v, want the value as it was", v, ok, err)
	}
}
