package redis_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// go-redis repeats what had no answer in time, on another connection. The first
// copy may still be on its way, and must not undo what was acknowledged after
// the second.
func TestLateCopies(t *testing.T) {
	t.Parallel()
	const delay = 800 * time.Millisecond
	type call func(ctx context.Context, st *redis.Store, s session.Session) error
	for name, repeated := range map[string]call{
		"Generate": func(ctx context.Context, st *redis.Store, s session.Session) error {
			made, err := st.Generate(ctx, "made")
			if err == nil && session.Token(made) == session.Token(s) {
				t.Error("no new token")
			}
			return err
		},
		"Set": func(ctx context.Context, _ *redis.Store, s session.Session) error { return s.Set(ctx, "name", "older") },
		"SetAll": func(ctx context.Context, _ *redis.Store, s session.Session) error {
			return session.SetAll(ctx, s, map[string]any{"name": "older"})
		},
		"Delete": func(ctx context.Context, _ *redis.Store, s session.Session) error {
			return session.Delete(ctx, s, "name")
		},
		"Clear":  func(ctx context.Context, _ *redis.Store, s session.Session) error { return session.Clear(ctx, s) },
		"Update": lateCalls["Update"],
		"Pop":    lateCalls["Pop"],
		"Rotate": lateCalls["Rotate"],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := single(t)
			truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
			proxy := redistest.NewProxy(t, server.Addr)
			client := newClient(t, "redis://"+proxy.Addr+"?read_timeout=200ms")
			var wg sync.WaitGroup
			for range 8 { // connections for the copies
				wg.Go(func() { _ = client.Ping(t.Context()).Err() })
			}
			wg.Wait()
			s, err := truth.Generate(t.Context(), "kept")
			if err == nil {
				err = session.SetAll(t.Context(), s, startValues())
			}
			if err != nil {
				t.Fatal(err)
			}
			st := &redis.Store{Client: client}
			opened, err := st.Open(t.Context(), session.Token(s))
			if err != nil {
				t.Fatal(err)
			}

			ctx, cancel := context.WithTimeout(t.Context(), faultBound)
			defer cancel()
			began := time.Now()
			proxy.SetDelay(delay)
			time.AfterFunc(100*time.Millisecond, func() { proxy.SetDelay(0) })
			err = repeated(ctx, st, opened)
			if errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				return // it may come into effect later
			}
			if err := truth.Remove(t.Context(), "made"); err != nil {
				t.Fatal(err)
			}
			if err := session.SetAll(t.Context(), s, startValues()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(began.Add(2 * delay))) // the first copy arrives
			if _, err := truth.Get(t.Context(), "made"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("the session that was removed: got %v, want ErrNotFound", err)
			}
			untouched(t, truth, session.Token(s))
		})
	}
}
