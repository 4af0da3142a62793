package sealed_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// TestAtOnce: what goroutines of one request write is all there in the end, through one
// object of the session and through several; each value is popped by one.
func TestAtOnce(t *testing.T) {
	const goroutines, rounds = 16, 20
	for _, tt := range []struct {
		name    string
		objects int
		alone   bool // of no request
	}{{"one object", 1, false}, {"two objects", 2, false}, {"an object each", goroutines, false}, {"one object, alone", 1, true}} {
		t.Run(tt.name, func(t *testing.T) {
			st := revocable()
			c := &client{name: "session"}
			ctx := c.request(t.Context())
			if tt.alone {
				ctx = t.Context()
			}
			first, err := st.Login(ctx, "", session.Login{User: "alice", ID: "id"})
			if err != nil {
				t.Fatal(err)
			}
			once := make(map[string]any)
			for i := range rounds {
				once[fmt.Sprint("once ", i)] = i
			}
			if err := session.SetAll(ctx, first, once); err != nil {
				t.Fatal(err)
			}
			objects := []session.Session{first}
			for len(objects) < tt.objects {
				s, err := st.Open(ctx, session.Token(first))
				if err != nil {
					t.Fatal(err)
				}
				objects = append(objects, s)
			}
			var popped atomic.Int64
			var wg sync.WaitGroup
			for g := range goroutines {
				s := objects[g%len(objects)]
				wg.Go(func() {
					for i := range rounds {
						if err := s.Set(ctx, fmt.Sprint("own ", g), i); err != nil {
							t.Error(err)
						}
						err := session.Update(ctx, s, "count", func(old any) (any, error) {
							n, _ := old.(int)
							return n + 1, nil
						})
						if err != nil {
							t.Error(err)
						}
						v, err := session.Pop(ctx, s, fmt.Sprint("once ", i))
						if err != nil {
							t.Error(err)
						}
						if v != nil {
							popped.Add(1)
						}
						if v, err := s.Get(ctx, fmt.Sprint("own ", g)); v != i || err != nil {
							t.Errorf("own value: got %v, %v, want %d", v, err, i)
						}
						if session.Token(s) == "" || s.ID() != "id" {
							t.Error("no token, or another id")
						}
					}
				})
			}
			wg.Wait()
			if got := popped.Load(); got != rounds {
				t.Errorf("popped %d times, want %d", got, rounds)
			}
			want := map[string]any{"count": goroutines * rounds}
			for g := range goroutines {
				want[fmt.Sprint("own ", g)] = rounds - 1
			}
			seals := []string{session.Token(first)}
			if !tt.alone {
				seals = append(seals, c.seal)
			}
			for _, seal := range seals {
				back, err := st.Open(next(t, c), seal)
				if tt.alone {
					back, err = st.Open(t.Context(), seal)
				}
				if err != nil {
					t.Fatal(err)
				}
				shows(t, "in the end", back, want)
			}
			for _, s := range objects {
				if session.Token(s) != seals[0] {
					t.Error("two objects of a session have two tokens")
				}
			}
		})
	}
}

// TestUpdateAgain: where another object of the request writes while f runs, f is asked
// again, and its first answer is forgotten.
func TestUpdateAgain(t *testing.T) {
	st := keyed("a")
	ctx := new(client).request(t.Context())
	first, err := st.Generate(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	second, err := st.Open(ctx, session.Token(first))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Set(ctx, "count", 1); err != nil {
		t.Fatal(err)
	}
	shows(t, "another object, as it was loaded", second, map[string]any{})
	asked := 0
	err = session.Update(ctx, second, "count", func(old any) (any, error) {
		if asked++; asked == 1 {
			if err := session.SetAll(ctx, first, map[string]any{"count": 10, "other": true}); err != nil {
				t.Error(err)
			}
		}
		return old.(int) + 1, nil
	})
	if err != nil || asked != 2 {
		t.Errorf("got %v, asked %d times, want 2", err, asked)
	}
	// Each object shows what it was loaded with and wrote; the session has all.
	shows(t, "the one", first, map[string]any{"count": 10, "other": true})
	shows(t, "the other", second, map[string]any{"count": 11})
	back, err := st.Open(new(client).request(t.Context()), session.Token(first))
	if err != nil {
		t.Fatal(err)
	}
	shows(t, "the session", back, map[string]any{"count": 11, "other": true})
}

// TestLogoutAtOnce: what is written before a logout may be lost, and what comes after it
// is refused; nothing that the client was given opens once the logout has returned.
func TestLogoutAtOnce(t *testing.T) {
	for range 50 {
		st := revocable()
		c := &client{name: "session"}
		ctx := c.request(t.Context())
		s, err := st.Login(ctx, "", session.Login{User: "alice", ID: "id"})
		c.take(t, s, err)
		var out atomic.Bool
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 20 {
					after := out.Load()
					err := s.Set(ctx, fmt.Sprint(g), i)
					if after && err == nil || err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Errorf("Set: got %v, after the logout: %t", err, after)
					}
					if _, err := st.Rotate(ctx, session.Token(s), 0); err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Errorf("Rotate: got %v", err)
					}
				}
			})
		}
		wg.Go(func() {
			if err := st.Remove(ctx, "id"); err != nil {
				t.Error(err)
			}
			out.Store(true)
		})
		wg.Wait()
		for _, seal := range []string{c.seal, session.Token(s)} {
			_, err := st.Open(next(t, c), seal)
			unexplained(t, "what the client has", err)
		}
	}
}

// TestStoreAtOnce: one store serves many requests that begin with its first call.
func TestStoreAtOnce(t *testing.T) {
	st := &sealed.Store{Keys: keyed("new", "old").Keys}
	old := begun(t, t.Context(), keyed("old"), map[string]any{"k": "v"})
	start := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			<-start
			ctx := session.WithDelivery(t.Context(), &session.Delivery{MaxToken: 4096, Deliver: func(session.Session) error { return nil }})
			if err := visitor(ctx, st, old, fmt.Sprint("user ", g)); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// visitor logs in from an anonymous session and writes; it finds its own values alone.
func visitor(ctx context.Context, st *sealed.Store, seal, user string) error {
	if _, err := st.Open(ctx, seal); err != nil {
		return err
	}
	s, err := st.Login(ctx, seal, session.Login{User: user})
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "mine", user); err != nil {
		return err
	}
	back, err := st.Open(ctx, session.Token(s))
	if err != nil {
		return err
	}
	info, err := session.Describe(back)
	if err != nil || info.User != user {
		return fmt.Errorf("a session of %q: %w", info.User, err)
	}
	if v, err := back.Get(ctx, "mine"); v != user || err != nil {
		return fmt.Errorf("a value of %v: %w", v, err)
	}
	return nil
}
