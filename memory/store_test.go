package memory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		store  *memory.Store
		fields []string // that the error names; none: the store is good
	}{
		{"zero value", &memory.Store{}, nil},
		{"both timeouts", &memory.Store{IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour}, nil},
		{"idle and absolute the same", &memory.Store{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour}, nil},
		{"absolute under the default idle", &memory.Store{AbsoluteTimeout: time.Minute}, nil},
		{"the longest", &memory.Store{IdleTimeout: 400 * 24 * time.Hour, AbsoluteTimeout: 400 * 24 * time.Hour}, nil},
		{"nil", nil, []string{"Store"}},
		{"idle above absolute", &memory.Store{IdleTimeout: time.Hour, AbsoluteTimeout: time.Minute}, []string{"IdleTimeout", "AbsoluteTimeout"}},
		{"idle above the default absolute", &memory.Store{IdleTimeout: 13 * time.Hour}, []string{"IdleTimeout", "AbsoluteTimeout"}},
		{"negative idle", &memory.Store{IdleTimeout: -time.Minute}, []string{"IdleTimeout"}},
		{"negative absolute", &memory.Store{AbsoluteTimeout: -time.Minute}, []string{"AbsoluteTimeout"}},
		{"1800 is not half an hour", &memory.Store{IdleTimeout: 1800}, []string{"IdleTimeout"}},
		{"absolute over 400 days", &memory.Store{AbsoluteTimeout: 401 * 24 * time.Hour}, []string{"AbsoluteTimeout"}},
		{"the longest duration there is", &memory.Store{AbsoluteTimeout: 1<<63 - 1}, []string{"AbsoluteTimeout"}},
		{"negative limit", &memory.Store{MaxSessions: -1}, []string{"MaxSessions"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.store.Check()
			if (err == nil) != (tt.fields == nil) {
				t.Fatalf("Check: got %v", err)
			}
			_, first := tt.store.Generate(t.Context(), "id")
			if (first == nil) != (tt.fields == nil) {
				t.Errorf("on first use: got %v", first)
			}
			for _, field := range tt.fields {
				if !strings.Contains(err.Error(), field) || !strings.Contains(first.Error(), field) {
					t.Errorf("got %q and %q, want errors that name %s", err, first, field)
				}
			}
			if err != nil && errors.Is(err, session.ErrNotFound) {
				t.Error("a store that cannot work says that nobody is logged in")
			}
		})
	}
}

func TestDefaultTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(memory.Store)
		s, err := st.Generate(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		info, err := session.Describe(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.IdleDeadline.Sub(info.CreatedAt), 30*time.Minute; got != want {
			t.Errorf("idle: got %v, want %v", got, want)
		}
		if got, want := info.AbsoluteDeadline.Sub(info.CreatedAt), 12*time.Hour; got != want {
			t.Errorf("absolute: got %v, want %v", got, want)
		}
		if !info.CreatedAt.Equal(time.Now()) {
			t.Errorf("CreatedAt: got %v, want now", info.CreatedAt)
		}
	})
}

func TestNilContext(t *testing.T) {
	st := new(memory.Store)
	s, err := st.Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	var none context.Context
	_, err1 := st.Generate(none, "other")
	_, err2 := st.Open(none, session.Token(s))
	_, err3 := s.Get(none, "key")
	for i, err := range []error{err1, err2, err3, st.Refresh(none, "id"), st.Remove(none, "id"), s.Set(none, "key", 1)} {
		if err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("call %d without a context: got %v, want an error of its own", i, err)
		}
	}
}

func TestMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		const limit = 100
		st := &memory.Store{MaxSessions: limit, IdleTimeout: time.Hour}
		made := make([]session.Session, limit)
		for i := range made {
			s, err := st.Generate(ctx, fmt.Sprint(i))
			if err != nil {
				t.Fatalf("session %d of %d: %v", i+1, limit, err)
			}
			made[i] = s
			time.Sleep(time.Millisecond)
		}
		full := func(when string) {
			t.Helper()
			if _, err := st.Generate(ctx, "one-more"); !errors.Is(err, session.ErrFull) {
				t.Errorf("%s: got %v, want ErrFull", when, err)
			}
		}
		full("at the limit")
		for _, s := range made {
			if _, err := st.Open(ctx, session.Token(s)); err != nil {
				t.Fatalf("a live session was dropped: %v", err)
			}
		}
		if _, err := st.Generate(ctx, "0"); !errors.Is(err, session.ErrExists) {
			t.Errorf("a live id in a full store: got %v, want ErrExists", err)
		}

		if err := st.Remove(ctx, "7"); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Generate(ctx, "again"); err != nil {
			t.Errorf("after a Remove: %v", err)
		}
		full("at the limit again")

		// To the millisecond: one session after the other makes room.
		time.Sleep(time.Hour - limit*time.Millisecond - time.Nanosecond)
		full("just before the first deadline")
		time.Sleep(time.Nanosecond)
		if _, err := st.Generate(ctx, "later"); err != nil {
			t.Errorf("at the first deadline: %v", err)
		}
		full("before the second deadline")
		time.Sleep(time.Millisecond)
		if _, err := st.Generate(ctx, "later-still"); err != nil {
			t.Errorf("at the second deadline: %v", err)
		}
	})
}

func TestMaxSessionsTogether(t *testing.T) {
	const limit, many = 50, 200
	st := &memory.Store{MaxSessions: limit}
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			switch _, err := st.Generate(t.Context(), fmt.Sprint(i)); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, session.ErrFull):
				t.Errorf("got %v, want ErrFull", err)
			}
		})
	}
	wg.Wait()
	if got := made.Load(); got != limit {
		t.Errorf("%d sessions were made, want %d", got, limit)
	}
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour}
		const n = 3000 // more than one call removes
		for i := range n {
			if _, err := st.Generate(ctx, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := st.Sweep(); got != 0 {
			t.Errorf("all alive: removed %d, want 0", got)
		}
		time.Sleep(time.Hour - 1)
		if err := st.Refresh(ctx, "5"); err != nil {
			t.Fatal(err)
		}
		if got := st.Sweep(); got != 0 {
			t.Errorf("just before the deadline: removed %d, want 0", got)
		}
		time.Sleep(time.Nanosecond)
		if got := st.Sweep(); got != n-1 {
			t.Errorf("at the deadline: removed %d, want %d", got, n-1)
		}
		if _, err := st.Get(ctx, "5"); err != nil {
			t.Errorf("the session that was refreshed: %v", err)
		}
		time.Sleep(time.Hour)
		if got := st.Sweep(); got != 1 {
			t.Errorf("later: removed %d, want 1", got)
		}
		if got := new(memory.Store).Sweep(); got != 0 {
			t.Errorf("an empty store: removed %d, want 0", got)
		}
		if got := (&memory.Store{MaxSessions: -1}).Sweep(); got != 0 {
			t.Errorf("a store that cannot work: removed %d, want 0", got)
		}
	})
}

// TestRotationsAtOnce: old tokens are bounded, and beyond the bound nobody is
// logged out.
func TestRotationsAtOnce(t *testing.T) {
	ctx := t.Context()
	st := new(memory.Store)
	s, err := st.Generate(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{session.Token(s)}
	for range 1000 {
		r, err := st.Rotate(ctx, tokens[len(tokens)-1], time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if next := session.Token(r); next != tokens[len(tokens)-1] {
			tokens = append(tokens, next)
		}
	}
	if got, want := len(tokens), 65; got != want {
		t.Errorf("%d tokens, want %d", got, want)
	}
	for i, token := range tokens {
		o, err := st.Open(ctx, token)
		if err != nil {
			t.Fatalf("token %d of %d: %v", i, len(tokens), err)
		}
		if session.Token(o) != tokens[len(tokens)-1] {
			t.Errorf("token %d does not lead to the newest", i)
		}
	}
}

// TestGraceOverflow: a grace that would overflow is as long as a session lives.
func TestGraceOverflow(t *testing.T) {
	ctx := t.Context()
	st := new(memory.Store)
	s, err := st.Generate(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	r, err := st.Rotate(ctx, session.Token(s), 1<<63-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []session.Session{r, s} {
		if _, err := st.Open(ctx, session.Token(s)); err != nil {
			t.Errorf("within the grace: %v", err)
		}
	}
}

func TestSetAllTooMany(t *testing.T) {
	ctx := t.Context()
	s, err := new(memory.Store).Generate(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	many := make(map[string]any)
	for i := range 1025 {
		many[fmt.Sprint(i)] = i
	}
	if err := session.SetAll(ctx, s, many); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("1025 values: got %v, want ErrTooLarge", err)
	}
	delete(many, "0")
	if err := session.SetAll(ctx, s, many); err != nil {
		t.Errorf("1024 values: %v", err)
	}
	if err := session.SetAll(ctx, s, map[string]any{"1": "replaced", "one more": 1}); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("one more: got %v, want ErrTooLarge", err)
	}
	if got, err := s.Get(ctx, "1"); got != 1 || err != nil {
		t.Errorf("after the refusal: got %v, %v, want 1", got, err)
	}
}

func TestAllEndsWithItsContext(t *testing.T) {
	s, err := new(memory.Store).Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if err := session.SetAll(t.Context(), s, map[string]any{"a": 1, "b": 2, "c": 3}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all, err := session.All(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range all {
		n++
		cancel()
	}
	if n != 1 {
		t.Errorf("%d values after the context ended at the first, want 1", n)
	}
}

// TestIDKeepsNoValues: an id that is kept keeps nothing else.
func TestIDKeepsNoValues(t *testing.T) {
	st := new(memory.Store)
	big := strings.Repeat("x", 1<<19)
	var ids []any
	before := heap()
	for i := range 50 {
		s, err := st.Generate(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Set(t.Context(), "big", big), s.Set(t.Context(), "small", "y")); err != nil {
			t.Fatal(err)
		}
		small, err := s.Get(t.Context(), "small")
		if err != nil {
			t.Fatal(err)
		}
		popped, err := session.Pop(t.Context(), s, "small")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID(), small, popped)
		if err := st.Remove(t.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if kept := heap() - before; kept > 8<<20 {
		t.Errorf("%d ids and small values keep %d MiB", len(ids), kept>>20)
	}
	runtime.KeepAlive(ids)
}
