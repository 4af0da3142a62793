package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

func TestFromContext(t *testing.T) {
	m, rec := webtest.Spied()
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	rec.Take()
	// visit checks the calls of one request behind the Middleware.
	visit := func(t *testing.T, b *webtest.Browser, calls string, handler mist.HandleFunc) {
		t.Helper()
		b.Visit(t, webtest.Wrap(handler, m.Middleware()))
		if got := rec.Take(); got != calls {
			t.Errorf("got calls %q, want %q", got, calls)
		}
	}
	same := func(t *testing.T, ctx context.Context, want session.Session) {
		t.Helper()
		if s, err := session.FromContext(ctx); s != want || err != nil {
			t.Errorf("FromContext: another session (%v)", err)
		}
	}
	get := func(t *testing.T, ctx *mist.Context) session.Session {
		t.Helper()
		s, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		return s
	}

	t.Run("before GetSession", func(t *testing.T) {
		visit(t, alice, "extract Open", func(ctx *mist.Context) {
			s, err := session.FromContext(ctx.Request.Context())
			if err != nil || s == nil {
				t.Fatalf("FromContext: %v", err)
			}
			same(t, ctx.Request.Context(), s)
			if got := get(t, ctx); got != s {
				t.Error("GetSession gave another session")
			}
			if ctx.UserValues["session"] == nil {
				t.Error("the session is not under CtxSessionKey")
			}
		})
	})

	t.Run("after GetSession", func(t *testing.T) {
		visit(t, alice, "extract Open", func(ctx *mist.Context) {
			same(t, ctx.Request.Context(), get(t, ctx))
		})
	})

	t.Run("after InitSession", func(t *testing.T) {
		for name, b := range map[string]*webtest.Browser{
			"nobody":    {},
			"somebody":  alice.Tab(),
			"malformed": {Cookies: map[string]string{webtest.CookieName: "%"}},
			"unknown":   {Cookies: map[string]string{webtest.CookieName: "x.ABCDEFGHIJKLMNOPQRSTUVWXYZ"}},
		} {
			visit(t, b, "Generate inject", func(ctx *mist.Context) {
				s, err := m.InitSession(ctx)
				if err != nil {
					t.Fatalf("InitSession: %v", err)
				}
				if got, err := session.FromContext(ctx.Request.Context()); got != s || err != nil {
					t.Errorf("%s: another session (%v)", name, err)
				}
			})
		}
	})

	t.Run("after RotateSession", func(t *testing.T) {
		visit(t, alice.Tab(), "extract Open Rotate inject", func(ctx *mist.Context) {
			if err := m.RotateSession(ctx); err != nil {
				t.Fatalf("RotateSession: %v", err)
			}
			same(t, ctx.Request.Context(), get(t, ctx))
		})
	})

	t.Run("after RemoveSession", func(t *testing.T) {
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "bob")
		rec.Take()
		visit(t, b, "extract Open Remove clear extract", func(ctx *mist.Context) {
			if err := m.RemoveSession(ctx); err != nil {
				t.Fatalf("RemoveSession: %v", err)
			}
			if _, err := session.FromContext(ctx.Request.Context()); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
	})

	t.Run("of one that the application put in place", func(t *testing.T) {
		visit(t, alice, "", func(ctx *mist.Context) {
			mine := &webtest.PlainSession{Handle: "mine"}
			ctx.UserValues = map[string]any{"session": mine}
			if got := get(t, ctx); got != mine {
				t.Error("GetSession gave another session")
			}
			same(t, ctx.Request.Context(), mine)
		})
	})

	t.Run("survives what becomes of the request", func(t *testing.T) {
		type key struct{}
		for name, change := range map[string]func(ctx *mist.Context){
			"WithContext": func(ctx *mist.Context) {
				ctx.Request = ctx.Request.WithContext(context.WithValue(ctx.Request.Context(), key{}, 1))
			},
			"Clone":       func(ctx *mist.Context) { ctx.Request = ctx.Request.Clone(ctx.Request.Context()) },
			"WithTimeout": func(ctx *mist.Context) { ctx.WithTimeout(time.Hour) },
			"WithTimeout and its context": func(ctx *mist.Context) {
				ctx.WithTimeout(time.Hour)
				ctx.Request = ctx.Request.WithContext(ctx.Context())
			},
			"new Keys": func(ctx *mist.Context) { ctx.Keys = nil },
		} {
			visit(t, alice, "extract Open", func(ctx *mist.Context) {
				before := ctx.Request.Context()
				change(ctx)
				s, err := session.FromContext(ctx.Request.Context())
				if err != nil || s == nil {
					t.Fatalf("%s: %v", name, err)
				}
				same(t, before, s)
				same(t, ctx, s) // a *mist.Context is a context.Context
				derived, cancel := context.WithTimeout(context.WithoutCancel(ctx.Request.Context()), time.Hour)
				defer cancel()
				same(t, derived, s)
				if name != "new Keys" && get(t, ctx) != s {
					t.Errorf("%s: GetSession gave another session", name)
				}
			})
		}
	})

	t.Run("in goroutines", func(t *testing.T) {
		for range 50 {
			b := alice.Tab()
			b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
				var (
					all sync.WaitGroup
					got [16]session.Session
				)
				for i := range got {
					c, cancel := context.WithCancel(ctx.Request.Context())
					all.Go(func() {
						defer cancel()
						if i%4 == 0 {
							got[i], _ = m.GetSession(ctx)
							return
						}
						got[i], _ = session.FromContext(c)
					})
				}
				all.Wait()
				for _, s := range got {
					if s == nil || s != got[0] {
						t.Fatal("two goroutines got two sessions")
					}
				}
			}, m.Middleware()))
			opened := 0
			for _, op := range rec.All() {
				if op == "Open" {
					opened++
				}
			}
			if rec.Take(); opened != 1 {
				t.Fatalf("the store was asked %d times, want once", opened)
			}
		}
	})

	t.Run("nobody, and a store that is down", func(t *testing.T) {
		visit(t, &webtest.Browser{}, "extract", func(ctx *mist.Context) {
			if s, err := session.FromContext(ctx.Request.Context()); s != nil || !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
		cause := &webtest.OutageError{}
		rec.Fail(webtest.Fault{Op: "Open", After: false, Err: cause})
		visit(t, alice, "extract Open", func(ctx *mist.Context) {
			s, err := session.FromContext(ctx.Request.Context())
			if s != nil || !errors.Is(err, cause) || errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want the cause", err)
			}
		})
	})

	t.Run("outlives the request with its own session or an error", func(t *testing.T) {
		var kept context.Context
		visit(t, alice, "", func(ctx *mist.Context) {
			kept = context.WithoutCancel(ctx.Request.Context()) //nolint:fatcontext // kept for longer than it should be
		})
		visit(t, &webtest.Browser{}, "extract", func(ctx *mist.Context) { _, _ = m.GetSession(ctx) })
		s, err := session.FromContext(kept)
		if err == nil {
			if v, err := s.Get(kept, "name"); v != "alice" {
				t.Errorf("got %v, %v, want alice", v, err)
			}
		}
		rec.Take()
	})

	t.Run("without the Middleware", func(t *testing.T) {
		alice.Visit(t, func(ctx *mist.Context) {
			_ = get(t, ctx)
			for name, c := range map[string]context.Context{
				"request":    ctx.Request.Context(),
				"mist":       ctx,
				"background": t.Context(),
				"nil":        nil,
			} {
				if s, err := session.FromContext(c); s != nil || !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v, want ErrNotFound", name, err)
				}
			}
		})
	})
}
