package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

func TestManagerGetSession(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func() (*session.Manager, *webtest.Recorder)
		calls string
	}{
		{"token store", webtest.Spied, "extract Open"},
		{"plain store", webtest.SpiedPlain, "extract Get"},
	} {
		t.Run(test.name+" is asked once", func(t *testing.T) {
			m, rec := test.setup()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			rec.Take()
			header := b.Visit(t, func(ctx *mist.Context) {
				first, err := m.GetSession(ctx)
				if err != nil {
					t.Fatalf("GetSession: %v", err)
				}
				for range 3 {
					if s, err := m.GetSession(ctx); s != first || err != nil {
						t.Errorf("got another session (%v)", err)
					}
				}
				cached, ok := ctx.UserValues["session"].(session.Session)
				if !ok || cached.ID() != first.ID() || session.Token(cached) != session.Token(first) {
					t.Error("the session is not under CtxSessionKey, with its capabilities")
				}
				if v, err := first.Get(ctx.Request.Context(), "name"); v != "alice" || err != nil {
					t.Errorf("got value %v, %v", v, err)
				}
			})
			if got := rec.Take(); got != test.calls {
				t.Errorf("got calls %q, want %q", got, test.calls)
			}
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
		})

		t.Run(test.name+" is not asked for nobody", func(t *testing.T) {
			m, rec := test.setup()
			rec.Fail(webtest.Fault{Op: "Open", After: false, Err: &webtest.OutageError{}}, webtest.Fault{Op: "Get", After: false, Err: &webtest.OutageError{}}) // nobody notices
			header := (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
				_, err := m.GetSession(ctx)
				if !errors.Is(err, session.ErrNotFound) || !errors.Is(err, http.ErrNoCookie) {
					t.Errorf("got %v, want ErrNotFound and http.ErrNoCookie", err)
				}
			})
			if got, want := rec.Take(), "extract"; got != want {
				t.Errorf("got calls %q, want %q", got, want)
			}
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
		})

		t.Run(test.name+" is asked once for an unknown identifier", func(t *testing.T) {
			m, rec := test.setup()
			b := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: "unknown.ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}
			header := b.Visit(t, func(ctx *mist.Context) {
				for range 3 {
					if s, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) || s != nil {
						t.Errorf("got %v, want ErrNotFound", err)
					}
				}
				if ctx.UserValues["session"] != nil {
					t.Error("something is under CtxSessionKey")
				}
			})
			if got, want := rec.Take(), test.calls+" extract extract"; got != want {
				t.Errorf("got calls %q, want %q", got, want)
			}
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
		})
	}

	t.Run("CtxSessionKey names the entry", func(t *testing.T) {
		m, _ := webtest.Spied()
		m.CtxSessionKey = "mine"
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		b.Visit(t, func(ctx *mist.Context) {
			s, err := m.GetSession(ctx)
			if err != nil {
				t.Fatalf("GetSession: %v", err)
			}
			cached, ok := ctx.UserValues["mine"].(session.Session)
			if !ok || cached.ID() != s.ID() || ctx.UserValues["session"] != nil {
				t.Error("the session is not under CtxSessionKey alone")
			}
		})
	})

	t.Run("an id opens nothing where tokens are issued", func(t *testing.T) {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		b.Visit(t, func(ctx *mist.Context) {
			s, err := m.GetSession(ctx)
			if err != nil {
				t.Fatalf("GetSession: %v", err)
			}
			thief := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: s.ID()}}
			if _, err := thief.Name(t, m); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
	})

	t.Run("of the second time allocates nothing", func(t *testing.T) {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		ctx := &mist.Context{Request: b.Request(t.Context()), ResponseWriter: httptest.NewRecorder()}
		if _, err := m.GetSession(ctx); err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		if got := testing.AllocsPerRun(100, func() { _, _ = m.GetSession(ctx) }); got != 0 {
			t.Errorf("got %v allocations, want none", got)
		}
	})
}

func TestManagerGetSessionTogether(t *testing.T) {
	t.Run("64 goroutines of one handler get one session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			rec.Take()
			gate := make(chan struct{})
			rec.On(func(_ context.Context, op string) {
				if op == "Open" {
					<-gate
				}
			})
			b.Visit(t, func(ctx *mist.Context) {
				var (
					mu  sync.Mutex
					got = make(map[session.Session]int)
				)
				webtest.Together(64, func() {
					s, err := m.GetSession(ctx)
					if err != nil {
						t.Errorf("GetSession: %v", err)
					}
					mu.Lock()
					got[s]++
					mu.Unlock()
				}, func() { close(gate) })
				if len(got) != 1 {
					t.Errorf("got %d sessions, want 1", len(got))
				}
			})
			opened := 0
			for _, op := range rec.All() {
				if op == "Open" {
					opened++
				}
			}
			if opened != 1 {
				t.Errorf("the store was asked %d times, want once", opened)
			}
		})
	})

	t.Run("first calls of a request race for its state", func(t *testing.T) {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		for range 2000 {
			ctx := &mist.Context{Request: b.Request(t.Context()), ResponseWriter: webtest.DiscardWriter{}}
			var (
				all   sync.WaitGroup
				ready atomic.Int32
				got   [2]session.Session
			)
			for i := range got {
				all.Go(func() {
					for ready.Add(1); ready.Load() < int32(len(got)); { // so that both go at once
						runtime.Gosched()
					}
					got[i], _ = m.GetSession(ctx)
				})
			}
			all.Wait()
			if got[0] == nil || got[0] != got[1] {
				t.Fatal("two goroutines got two sessions, or none")
			}
		}
	})

	// Each case blocks the first Open until its own context ends, or for ever. A second
	// goroutine waits for it.
	t.Run("a waiter keeps to its own deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			gate := make(chan struct{})
			rec.On(func(_ context.Context, op string) {
				if op == "Open" {
					<-gate
				}
			})
			b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
				var all sync.WaitGroup
				all.Go(func() {
					if _, err := m.GetSession(ctx); err != nil {
						t.Errorf("the one that loads: %v", err)
					}
				})
				synctest.Wait()
				began := time.Now()
				short, cancel := context.WithTimeout(ctx.Request.Context(), time.Second)
				defer cancel()
				if _, err := session.FromContext(short); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the one that waits: got %v, want its deadline", err)
				}
				if waited := time.Since(began); waited != time.Second {
					t.Errorf("waited %v, want a second", waited)
				}
				close(gate)
				all.Wait()
				if s, err := session.FromContext(ctx.Request.Context()); s == nil || err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}, m.Middleware()))
		})
	})

	t.Run("who gives up does not make others fail", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			rec.On(func(ctx context.Context, op string) {
				if _, short := ctx.Deadline(); op == "Open" && short {
					<-ctx.Done()
				}
			})
			b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
				var all sync.WaitGroup
				all.Go(func() {
					short, cancel := context.WithTimeout(ctx.Request.Context(), time.Second)
					defer cancel()
					if _, err := session.FromContext(short); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the one that gives up: got %v, want its deadline", err)
					}
				})
				synctest.Wait()
				if name, err := webtest.NameOf(ctx, m); name != "alice" || err != nil {
					t.Errorf("the one that waited: got %q, %v", name, err)
				}
				all.Wait()
			}, m.Middleware()))
		})
	})

	t.Run("a login that is faster than a load wins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "mallory")
			gate := make(chan struct{})
			rec.On(func(_ context.Context, op string) {
				if op == "Open" {
					<-gate
				}
			})
			b.Visit(t, func(ctx *mist.Context) {
				var (
					all    sync.WaitGroup
					loaded session.Session
				)
				all.Go(func() { loaded, _ = m.GetSession(ctx) })
				synctest.Wait()
				made, err := m.InitSession(ctx)
				if err != nil {
					t.Fatalf("InitSession: %v", err)
				}
				close(gate)
				all.Wait()
				if loaded != made {
					t.Error("the load gave the session that the login has replaced")
				}
				if s, err := m.GetSession(ctx); s != made || err != nil {
					t.Errorf("afterwards the request has another session than the login's (%v)", err)
				}
			})
			if name, err := b.Name(t, m); name != "" || err != nil {
				t.Errorf("the next request: got %q, %v, want the login's", name, err)
			}
		})
	})

	t.Run("a store that panics leaves nobody waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			gate, once := make(chan struct{}), sync.Once{}
			rec.On(func(_ context.Context, op string) {
				if op == "Open" {
					<-gate
					once.Do(func() { panic("store") })
				}
			})
			b.Visit(t, func(ctx *mist.Context) {
				var (
					mu       sync.Mutex
					panicked int
				)
				webtest.Together(8, func() {
					defer func() {
						if recover() != nil {
							mu.Lock()
							panicked++
							mu.Unlock()
						}
					}()
					if name, err := webtest.NameOf(ctx, m); name != "alice" || err != nil {
						t.Errorf("got %q, %v", name, err)
					}
				}, func() { close(gate) })
				if panicked != 1 {
					t.Errorf("%d goroutines panicked, want 1", panicked)
				}
			})
		})
	})
}
