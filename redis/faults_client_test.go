package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// settles polls until f holds; what it waits for ends by itself.
func settles(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A client that is closed after a fault leaves neither a goroutine nor a
// connection. No other test may run meanwhile, so this is not parallel.
func TestFaultsLeaveNothing(t *testing.T) {
	server, admin := single(t)
	proxy := redistest.NewProxy(t, server.Addr)
	truth := &redis.Store{Client: admin, OpTimeout: time.Minute}
	if _, err := truth.Generate(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	connections := func() int {
		list, err := admin.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(list, "\n")
	}
	for _, f := range []struct {
		name       string
		begin, end func()
	}{
		{"none", func() {}, func() {}},
		{"stalled", func() { proxy.Stall(true) }, func() { proxy.Stall(false) }},
		{"paused", server.Pause, server.Resume},
		{"too slow", func() { proxy.SetDelay(200 * time.Millisecond) }, func() { proxy.SetDelay(0) }},
		{"reset", func() { proxy.Refuse(true); proxy.Cut() }, func() { proxy.Refuse(false) }},
		{"replies lost", func() { proxy.Match(ours); proxy.LoseReply(1 << 30) }, func() { proxy.LoseReply(0) }},
	} {
		t.Run(f.name, func(t *testing.T) {
			settles(t, "quiet before", func() bool { return proxy.Connections() == 0 })
			goroutines, clients := runtime.NumGoroutine(), connections()
			c, err := redis.NewClient("redis://" + proxy.Addr)
			if err != nil {
				t.Fatal(err)
			}
			store := &redis.Store{Client: c, OpTimeout: 100 * time.Millisecond}
			s, err := store.Get(t.Context(), "kept")
			if err != nil {
				t.Fatal(err)
			}
			f.begin()
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					if i%2 == 0 {
						_, _ = store.Get(ctx, "kept")
					} else {
						_ = session.Update(ctx, s, fmt.Sprint(i), increment)
					}
				})
			}
			time.AfterFunc(50*time.Millisecond, cancel) // some clients leave
			wg.Wait()
			f.end()
			cancel()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			// go-redis 9.22 forgets to close what never got through its handshake, and
			// leaves it to the garbage collector.
			settles(t, "no connection is left at the proxy", func() bool {
				runtime.GC()
				return proxy.Connections() == 0
			})
			settles(t, "no connection is left at the server", func() bool { return connections() <= clients })
			settles(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
		})
	}
}

// What ends before the call does not reach the server, and is told as what it is.
func TestContextEndedBefore(t *testing.T) {
	f := &fault{name: "ended", fails: anyStep}
	w := newWorld(t, f, nil)
	client := w.client(t, f)
	for cause, around := range map[error]func(ctx context.Context) (context.Context, context.CancelFunc){
		context.Canceled: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			return ended, cancel
		},
		context.DeadlineExceeded: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Now())
		},
	} {
		f.around = around
		for _, fl := range faultFlows() {
			t.Run(fmt.Sprintf("%v/%s", cause, fl.name), func(t *testing.T) {
				w.prefix = t.Name() + ":"
				a := newApp(t, w, client, f, &fl)
				token := a.login(t, "alice")
				a.wire.arm(0, func() {})
				resp, err := a.get(t.Context(), "/flow", token)
				if err != nil {
					t.Fatal(err)
				}
				if seen, _ := a.wire.disarm(); seen != nil {
					t.Errorf("it sent %q", seen)
				}
				if !fl.required {
					if got := <-a.told; !errors.Is(got.err, cause) || errors.Is(got.err, session.ErrNotFound) {
						t.Errorf("got %v, want %v", got.err, cause)
					}
				}
				if got := resp.Header["Set-Cookie"]; resp.StatusCode != http.StatusServiceUnavailable || got != nil {
					t.Errorf("got status %d and %d Set-Cookie", resp.StatusCode, len(got))
				}
				if values, err := a.values(t, token); err != nil || !reflect.DeepEqual(values, startValues()) {
					t.Errorf("the session holds %v, %v", values, err)
				}
			})
		}
	}
}

// With a client that ignores deadlines, as go-redis is by default, a call lasts
// as long as the client lets it; what it answers then is right nevertheless.
func TestPlainClientWaits(t *testing.T) {
	t.Parallel()
	const pause = time.Second
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	plain := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = plain.Close() })
	store := &redis.Store{Client: plain, OpTimeout: shortTimeout}
	made, err := truth.Generate(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), session.Token(made))
	if err != nil {
		t.Fatal(err)
	}
	server.Pause()
	began := time.Now()
	time.AfterFunc(pause, server.Resume)
	err = session.Update(t.Context(), s, "count", increment)
	if took := time.Since(began); took < pause {
		t.Errorf("it ended after %v: go-redis keeps deadlines now, and the documentation can say so", took)
	}
	if errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	now, gerr := truth.Get(t.Context(), "kept")
	if gerr != nil {
		t.Fatal(gerr)
	}
	count, _ := now.Get(t.Context(), "count")
	if n, _ := count.(int64); n > 1 || err == nil && n != 1 {
		t.Errorf("the count is %v after %v", count, err)
	}
}
