package session_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"
	mistredis "github.com/dormoron/mist/session/redis"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

func TestUserValuesOfEarlierRequest(t *testing.T) {
	for name, setup := range map[string]func() (*session.Manager, *webtest.Recorder){"token": webtest.Spied, "plain": webtest.SpiedPlain} {
		m, _ := setup()
		alice, bob, nobody := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
		alice.BeginNamed(t, m, "alice")
		bob.BeginNamed(t, m, "bob")
		var left map[string]any
		for flow, use := range map[string]mist.HandleFunc{
			"GetSession":  func(ctx *mist.Context) { _, _ = m.GetSession(ctx) },
			"InitSession": func(ctx *mist.Context) { _, _ = m.InitSession(ctx) },
		} {
			alice.Visit(t, func(ctx *mist.Context) { use(ctx); left = ctx.UserValues })
			if left["session"] == nil {
				t.Errorf("%s/%s: nothing was left behind, so this shows nothing", name, flow)
			}
			nobody.Pooled(t, left, func(ctx *mist.Context) {
				if s, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) || s != nil {
					t.Errorf("%s/%s: nobody: got a session %t, %v, want ErrNotFound", name, flow, s != nil, err)
				}
			})
			bob.Pooled(t, left, func(ctx *mist.Context) {
				if got, err := webtest.NameOf(ctx, m); got != "bob" || err != nil {
					t.Errorf("%s/%s: bob: got %q, %v", name, flow, got, err)
				}
			})
		}
	}
}

func TestUserValuesJunk(t *testing.T) {
	for _, junk := range []any{
		nil, 42, "session",
		[]byte{1},
		map[string]any{"ID": "x"},
		struct{}{},
		&struct{}{},
		func() {},
		[]func(){nil},
		errors.New("x"), &session.Manager{},
		new(mistredis.Session), // a Session, and mist's own manager leaves it there for the next visitor
	} {
		m, _ := webtest.Spied()
		alice, nobody := &webtest.Browser{}, &webtest.Browser{}
		alice.BeginNamed(t, m, "alice")
		values := map[string]any{"session": junk, "other": "kept"}
		nobody.Pooled(t, values, func(ctx *mist.Context) {
			if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%T: nobody: got %v, want ErrNotFound", junk, err)
			}
		})
		values["session"] = junk
		alice.Pooled(t, values, webtest.Wrap(func(ctx *mist.Context) {
			if got, err := webtest.NameOf(ctx, m); got != "alice" || err != nil {
				t.Errorf("%T: alice: got %q, %v", junk, got, err)
			}
			ctx.UserValues["session"] = junk
			if got, err := webtest.NameOf(ctx, m); got != "alice" || err != nil {
				t.Errorf("%T: alice again: got %q, %v", junk, got, err)
			}
		}, m.Middleware()))
		if values["other"] != "kept" {
			t.Errorf("%T: an entry of somebody else's is gone", junk)
		}
	}
}

// What the application puts under CtxSessionKey is the session of the request.
func TestUserValuesByHand(t *testing.T) {
	byID := func(t *testing.T, m *session.Manager) session.Session {
		s, err := m.Store.Get(t.Context(), "hand")
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		return s
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T, m *session.Manager) session.Session
	}{
		{"loaded by id", byID},
		{"wrapped, with capabilities", func(t *testing.T, m *session.Manager) session.Session { return webtest.Wrapped{Session: byID(t, m)} }},
		{"wrapped, without", func(t *testing.T, m *session.Manager) session.Session { return webtest.Opaque{Session: byID(t, m)} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, rec := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
			m.NewID = func() string { return "hand" }
			(&webtest.Browser{}).BeginNamed(t, m, "hand")
			m.NewID = nil
			alice := &webtest.Browser{}
			alice.BeginNamed(t, m, "alice")

			for _, late := range []bool{false, true} {
				var left map[string]any
				header := alice.Visit(t, func(ctx *mist.Context) {
					if late {
						if name, err := webtest.NameOf(ctx, m); name != "alice" || err != nil {
							t.Errorf("before: got %q, %v", name, err)
						}
					}
					s := test.make(t, m)
					if ctx.UserValues == nil {
						ctx.UserValues = make(map[string]any)
					}
					ctx.UserValues["session"] = s
					rec.Take()
					for range 2 {
						if got, err := m.GetSession(ctx); got != s || err != nil {
							t.Errorf("late=%t: got another session (%v)", late, err)
						}
					}
					if got := rec.Take(); got != "" {
						t.Errorf("late=%t: got calls %q, want none", late, got)
					}
					if err := m.RefreshSession(ctx); err != nil {
						t.Errorf("late=%t: RefreshSession: %v", late, err)
					}
					if got, want := rec.Take(), "Refresh"; got != want {
						t.Errorf("late=%t: got calls %q, want %q", late, got, want)
					}
					if err := m.RotateSession(ctx); !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("late=%t: RotateSession: got %v, want ErrUnsupported", late, err)
					}
					left = ctx.UserValues
				})
				if got := webtest.SetCookies(header); got != nil {
					t.Errorf("late=%t: got Set-Cookie %q, want none: no client carries it", late, got)
				}
				(&webtest.Browser{}).Pooled(t, left, func(ctx *mist.Context) {
					if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
						t.Errorf("late=%t: the next request: got %v, want ErrNotFound", late, err)
					}
				})
				if name, err := alice.Name(t, m); name != "alice" || err != nil {
					t.Errorf("late=%t: the next request of alice: got %q, %v", late, name, err)
				}
			}

			alice.Visit(t, func(ctx *mist.Context) {
				ctx.UserValues = map[string]any{"session": test.make(t, m)}
				if err := m.RemoveSession(ctx); err != nil {
					t.Errorf("RemoveSession: %v", err)
				}
				if ctx.UserValues["session"] != nil {
					t.Error("the session is still in UserValues")
				}
			})
			if _, err := m.Store.Get(t.Context(), "hand"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("after RemoveSession: got %v, want ErrNotFound", err)
			}
		})
	}
}

// A session that came by another way than the cookie does not become a cookie:
// one that the application opened for a bearer token, say.
func TestUserValuesByHandIsNotPromoted(t *testing.T) {
	for kind, issue := range map[string]func() (*session.Manager, *webtest.Recorder){"token": webtest.Spied, "plain": webtest.SpiedPlain} {
		m, rec := issue()
		m.Propagator = &webtest.SpyPropagator{Propagator: &cookie.Propagator{MaxAge: time.Hour}, Recorder: rec}
		bearer := &webtest.Browser{}
		bearer.BeginNamed(t, m, "bearer")
		carried := bearer.Cookies[webtest.CookieName]
		header := (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
			var (
				s   session.Session
				err error
			)
			if ts, ok := m.Store.(session.TokenStore); ok {
				s, err = ts.Open(ctx.Request.Context(), carried)
			} else {
				s, err = m.Store.Get(ctx.Request.Context(), carried)
			}
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			ctx.UserValues = map[string]any{"session": s}
			if err := m.RefreshSession(ctx); err != nil {
				t.Errorf("%s: RefreshSession: %v", kind, err)
			}
		})
		if got := len(header["Set-Cookie"]); got != 0 {
			t.Errorf("%s: got %d Set-Cookie, want none", kind, got)
		}
	}
}

// Two managers with one CtxSessionKey serve one request, each with its own
// cookie and store.
func TestTwoManagers(t *testing.T) {
	setup := func(t *testing.T) (a, b *session.Manager, recA, recB *webtest.Recorder, visitor *webtest.Browser) {
		a, recA = webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{Name: "__Host-a"})
		b, recB = webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{Name: "__Host-b"})
		visitor = &webtest.Browser{}
		visitor.BeginNamed(t, a, "alice")
		visitor.BeginNamed(t, b, "bob")
		if got := len(visitor.Cookies); got != 2 {
			t.Fatalf("got %d cookies, want 2", got)
		}
		recA.Take()
		recB.Take()
		return a, b, recA, recB, visitor
	}
	check := func(t *testing.T, ctx *mist.Context, m *session.Manager, want string) {
		t.Helper()
		if got, err := webtest.NameOf(ctx, m); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}

	t.Run("by turns", func(t *testing.T) {
		a, b, recA, recB, visitor := setup(t)
		visitor.Visit(t, func(ctx *mist.Context) {
			for range 3 {
				check(t, ctx, a, "alice")
				check(t, ctx, b, "bob")
			}
			if got, want := recA.Take()+" "+recB.Take(), "extract Open extract Open"; got != want {
				t.Errorf("got calls %q, want %q", got, want)
			}
			if err := a.RemoveSession(ctx); err != nil {
				t.Errorf("RemoveSession: %v", err)
			}
			if _, err := a.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("the one removed: got %v, want ErrNotFound", err)
			}
			check(t, ctx, b, "bob")
			if _, err := a.InitSession(ctx); err != nil {
				t.Errorf("InitSession: %v", err)
			}
			check(t, ctx, a, "")
			check(t, ctx, b, "bob")
		})
	})

	t.Run("one knows nobody", func(t *testing.T) {
		a, b, _, _, visitor := setup(t)
		delete(visitor.Cookies, "__Host-b")
		visitor.Visit(t, func(ctx *mist.Context) {
			for range 2 {
				check(t, ctx, a, "alice")
				if _, err := b.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
			}
		})
	})

	t.Run("at once", func(t *testing.T) {
		for _, ms := range [][]bool{{false, false}, {true, true}, {true, false}} {
			a, b, recA, recB, visitor := setup(t)
			var around []mist.Middleware
			for i, m := range []*session.Manager{a, b} {
				if ms[i] {
					around = append(around, m.Middleware())
				}
			}
			for range 50 {
				visitor.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
					var all sync.WaitGroup
					for range 8 {
						all.Go(func() { check(t, ctx, a, "alice") })
						all.Go(func() { check(t, ctx, b, "bob") })
					}
					all.Wait()
				}, around...))
				for _, rec := range []*webtest.Recorder{recA, recB} {
					opened := 0
					for _, op := range rec.All() {
						if op == "Open" {
							opened++
						}
					}
					if rec.Take(); opened != 1 {
						t.Errorf("a store was asked %d times, want once", opened)
					}
				}
			}
		}
	})
}
