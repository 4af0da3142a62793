package session_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// refusedRequest sends a request that causes one event.
func refusedRequest(t *testing.T, m *session.Manager) (took time.Duration) {
	t.Helper()
	began := time.Now()
	(&webtest.Browser{Cookies: map[string]string{webtest.CookieName: "malformed"}}).Is(t, m, "")
	return time.Since(began)
}

// T-E6: a hook that never returns delays a request by 50 ms. After 64 such calls no
// request starts another goroutine. When the hook returns at last, it gets the number
// of dropped events, and then new events.
func TestOnEventBlocks(t *testing.T) {
	const maxHooks, patience = 64, 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		release := make(chan struct{})
		var calls atomic.Int32
		var missed int
		m.OnEvent = func(_ context.Context, e session.Event) {
			calls.Add(1)
			if e.Kind == session.EventDropped {
				missed += e.Count
			}
			<-release
		}
		before := webtest.Goroutines(t)
		for i := range 2 * maxHooks {
			if got := refusedRequest(t, m); got != patience {
				t.Errorf("request %d took %v, want %v", i, got, patience)
			}
		}
		synctest.Wait()
		if got := webtest.Goroutines(t) - before; got > maxHooks {
			t.Errorf("got %d goroutines, want at most %d", got, maxHooks)
		}
		close(release)
		synctest.Wait()
		if got := calls.Load(); got != maxHooks+1 || missed != maxHooks {
			t.Errorf("got %d calls, and %d events missed, want %d and one that tells of %d", got, missed, maxHooks, maxHooks)
		}
		if got := refusedRequest(t, m); got != 0 || calls.Load() != maxHooks+2 {
			t.Errorf("afterwards: a request took %v, %d calls", got, calls.Load())
		}
		for range 10_000 { // what has ended may be counted for a moment
			if webtest.Goroutines(t) <= before {
				return
			}
			runtime.Gosched()
		}
		t.Errorf("%d goroutines are left", webtest.Goroutines(t)-before)
	})
}

// A thousand requests at once are delayed no longer than a single one.
func TestOnEventBlocksCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		release := make(chan struct{})
		m.OnEvent = func(context.Context, session.Event) { <-release }
		began := time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { refusedRequest(t, m) })
		}
		all.Wait()
		if got, want := time.Since(began), 50*time.Millisecond; got > want {
			t.Errorf("took %v, want at most %v", got, want)
		}
		close(release)
	})
}

// A request waits for a hook that is only slow. So its log line is written before the
// answer.
func TestOnEventIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		var done atomic.Bool
		m.OnEvent = func(context.Context, session.Event) {
			time.Sleep(49 * time.Millisecond)
			done.Store(true)
		}
		if got := refusedRequest(t, m); got != 49*time.Millisecond || !done.Load() {
			t.Errorf("took %v, the hook was done: %t", got, done.Load())
		}
	})
}

// A hook that panics or ends its goroutine ends nothing else, also after a thousand
// times.
func TestOnEventPanics(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":          func() { panic("the hook's own business") },
		"ErrAbort":       func() { panic(http.ErrAbortHandler) },
		"nil":            func() { panic(nil) }, //nolint:govet // on purpose
		"runtime.Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := webtest.NewManager()
				var calls atomic.Int32
				m.OnEvent = func(context.Context, session.Event) {
					calls.Add(1)
					end()
				}
				b := &webtest.Browser{}
				for range 100 {
					if got := refusedRequest(t, m); got != 0 {
						t.Errorf("a request took %v", got)
					}
					b.BeginNamed(t, m, "alice")
					b.Is(t, m, "alice")
				}
				if got := calls.Load(); got != 200 {
					t.Errorf("got %d calls, want 200", got)
				}
			})
		})
	}
}

// A hook may ask for the session of the request that it is called for. That delays the
// request no longer than any other hook.
func TestOnEventAsksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		asked := make(chan error, 1)
		m.OnEvent = func(ctx context.Context, _ session.Event) {
			_, err := session.FromContext(ctx)
			asked <- err
		}
		began := time.Now()
		b := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: "id.ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}
		b.Visit(t, webtest.Wrap(func(ctx *mist.Context) { _, _ = m.GetSession(ctx) }, m.Middleware()))
		if got := time.Since(began); got > 50*time.Millisecond {
			t.Errorf("took %v", got)
		}
		if err := <-asked; err == nil {
			t.Error("got a session")
		}
	})
}

// The hook gets the context of the request, and not mist's pooled one.
func TestOnEventContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		var got []string
		m.OnEvent = func(ctx context.Context, e session.Event) {
			_, pooled := ctx.(*mist.Context)
			got = append(got, fmt.Sprint(e.Kind, " ", ctx.Value(key{}), " ", pooled))
		}
		b := &webtest.Browser{}
		b.Visit(t, func(ctx *mist.Context) {
			ctx.Request = ctx.Request.WithContext(context.WithValue(ctx.Request.Context(), key{}, "mine"))
			if _, err := m.Login(ctx, "alice"); err != nil {
				t.Errorf("Login: %v", err)
			}
			if _, err := m.RemoveUserSessions(ctx, "alice"); err != nil {
				t.Errorf("RemoveUserSessions: %v", err)
			}
		})
		if want := "[login mine false revoked mine false]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// Three hundred logins at once, with a hook that takes 20 ms: callers wait up to 50 ms
// for a place, and the hook gets the number of dropped events.
func TestOnEventWaitsForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		var told, missed atomic.Int32
		m.OnEvent = func(_ context.Context, e session.Event) {
			time.Sleep(20 * time.Millisecond)
			if e.Kind == session.EventDropped {
				missed.Add(int32(e.Count))
			} else {
				told.Add(1)
			}
		}
		began := time.Now()
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() { (&webtest.Browser{}).SignIn(t, m, "ada") })
		}
		all.Wait()
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("the logins took %v, want 50 ms at most", took)
		}
		time.Sleep(time.Second)
		// Three rounds of 64 calls begin within 50 ms.
		if told.Load() < 3*64 || told.Load()+missed.Load() != 300 {
			t.Errorf("got %d events and %d missed of 300, want 192 at least and all of them", told.Load(), missed.Load())
		}
	})
}

// In whatever order hooks return while events are dropped, each event is reported or
// counted, and no count waits for another event.
func TestOnEventCountsAll(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			m := webtest.NewManager()
			var told, missed atomic.Int32
			gate := make(chan struct{})
			m.OnEvent = func(_ context.Context, e session.Event) {
				<-gate
				if e.Kind == session.EventDropped {
					missed.Add(int32(e.Count))
				} else {
					told.Add(1)
				}
			}
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { refusedRequest(t, m) })
			}
			time.Sleep(50*time.Millisecond - 1)
			go func() { time.Sleep(time.Nanosecond); close(gate) }() // when the first give up
			all.Wait()
			synctest.Wait()
			if told.Load()+missed.Load() != 100 {
				t.Errorf("got %d events and %d missed, want 100", told.Load(), missed.Load())
			}
		})
	}
}
