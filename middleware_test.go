package session_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

func TestMiddlewarePanicsAtWiring(t *testing.T) {
	for name, m := range map[string]*session.Manager{
		"nil":             nil,
		"zero":            {},
		"no store":        {Propagator: &cookie.Propagator{}},
		"no propagator":   {Store: &memory.Store{}},
		"unusable store":  {Store: &memory.Store{MaxSessions: -1}, Propagator: &cookie.Propagator{}},
		"unusable cookie": {Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "a b"}},
		"unusable grace":  {Store: &memory.Store{}, Propagator: &cookie.Propagator{}, RotateGrace: -1},
	} {
		func() {
			defer func() {
				err, ok := recover().(error)
				if want := m.Check(); !ok || err == nil || err.Error() != want.Error() {
					t.Errorf("%s: got panic %v, want what Check says: %v", name, err, want)
				}
			}()
			m.Middleware()
		}()
	}
}

// The Middleware around a handler that does nothing changes nothing.
func TestMiddlewareIsQuiet(t *testing.T) {
	m, rec := webtest.Spied()
	nobody, alice := &webtest.Browser{}, &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	rec.Take()
	for _, b := range []*webtest.Browser{nobody, alice} {
		called := 0
		header := b.Visit(t, webtest.Wrap(func(*mist.Context) { called++ }, m.Middleware()))
		if called != 1 {
			t.Errorf("the handler was called %d times", called)
		}
		if got := rec.Take(); got != "" {
			t.Errorf("got calls %q, want none", got)
		}
		if got := webtest.HeaderNames(header); got != nil {
			t.Errorf("got header fields %q, want none", got)
		}
	}
}

func TestMiddlewareCleans(t *testing.T) {
	m, _ := webtest.Spied()
	alice, nobody := &webtest.Browser{}, &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	var ours session.Session
	alice.Visit(t, func(ctx *mist.Context) {
		if _, err := m.GetSession(ctx); err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		ours, _ = ctx.UserValues["session"].(session.Session)
	})
	byHand := &webtest.PlainSession{Handle: "by-hand"}

	for name, left := range map[string]any{"ours": ours, "by hand": byHand, "junk": 42, "nothing": nil} {
		t.Run("on the way in/"+name, func(t *testing.T) {
			values := map[string]any{"other": "kept"}
			if left != nil {
				values["session"] = left
			}
			nobody.Pooled(t, values, webtest.Wrap(func(ctx *mist.Context) {
				if v := ctx.UserValues["session"]; v != nil {
					t.Errorf("the handler sees a %T", v)
				}
				if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
			}, m.Middleware()))
			if _, ok := values["session"]; ok || values["other"] != "kept" {
				t.Errorf("afterwards UserValues are %v", values)
			}
		})
	}

	for name, handler := range map[string]mist.HandleFunc{
		"loaded": func(ctx *mist.Context) { _, _ = m.GetSession(ctx) },
		"made":   func(ctx *mist.Context) { _, _ = m.InitSession(ctx) },
		"by hand": func(ctx *mist.Context) {
			ctx.UserValues["session"] = byHand
		},
		"by hand and used": func(ctx *mist.Context) {
			ctx.UserValues["session"] = byHand
			_, _ = m.GetSession(ctx)
		},
		"junk": func(ctx *mist.Context) { ctx.UserValues["session"] = 42 },
	} {
		for _, panics := range []any{nil, "a string", http.ErrAbortHandler} {
			t.Run("on the way out/"+name, func(t *testing.T) {
				values := map[string]any{"other": "kept"}
				func() {
					defer func() {
						if got := recover(); got != panics {
							t.Errorf("got panic %v, want %v as it was", got, panics)
						}
					}()
					alice.Pooled(t, values, webtest.Wrap(func(ctx *mist.Context) {
						handler(ctx)
						if ctx.UserValues["session"] == nil {
							t.Error("nothing is to be cleaned, so this shows nothing")
						}
						if panics != nil {
							panic(panics)
						}
					}, m.Middleware()))
				}()
				if _, ok := values["session"]; ok || values["other"] != "kept" {
					t.Errorf("panic %v: afterwards UserValues are %v", panics, values)
				}
			})
		}
	}

	t.Run("under its own key alone", func(t *testing.T) {
		m, _ := webtest.Spied()
		m.CtxSessionKey = "mine"
		values := map[string]any{"mine": byHand, "session": byHand}
		nobody.Pooled(t, values, webtest.Wrap(func(*mist.Context) {}, m.Middleware()))
		if values["mine"] != nil || values["session"] != byHand {
			t.Errorf("afterwards UserValues are %v", values)
		}
	})

	t.Run("whatever the handler did to the context", func(t *testing.T) {
		alice.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
			_, _ = m.GetSession(ctx)
			ctx.UserValues, ctx.Keys = nil, nil
			ctx.Request, ctx.ResponseWriter = nil, nil
		}, m.Middleware()))
	})
}

// A guard of a route runs outside of the middlewares of the server.
func TestMiddlewareInsideGuard(t *testing.T) {
	m, rec := webtest.Spied()
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	rec.Take()
	var guard session.Session
	alice.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
		if ctx.UserValues["session"] == nil {
			t.Error("the guard's session is not under CtxSessionKey any more")
		}
		if s, err := m.GetSession(ctx); s != guard || err != nil {
			t.Errorf("GetSession: another session than the guard's (%v)", err)
		}
		if s, err := session.FromContext(ctx.Request.Context()); s != guard || err != nil {
			t.Errorf("FromContext: another session than the guard's (%v)", err)
		}
	}, m.RequireSession(), func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			guard, _ = m.GetSession(ctx)
			next(ctx)
		}
	}, m.Middleware()))
	if got, want := rec.Take(), "extract Open"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
}

func TestMiddlewareTwice(t *testing.T) {
	m, rec := webtest.Spied()
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	rec.Take()
	mw := m.Middleware()
	for name, twice := range map[string][2]mist.Middleware{
		"mounted": {mw, m.Middleware()}, "run": {mw, mw},
	} {
		between := func(next mist.HandleFunc) mist.HandleFunc {
			return func(ctx *mist.Context) {
				w := ctx.ResponseWriter
				next(ctx)
				if ctx.ResponseWriter != w {
					t.Errorf("%s twice: the writer was wrapped twice", name)
				}
				if ctx.UserValues["session"] == nil {
					t.Errorf("%s twice: the inner one has cleaned what is the outer one's", name)
				}
				if got, err := webtest.NameOf(ctx, m); got != "alice" || err != nil {
					t.Errorf("%s twice: between them: got %q, %v", name, got, err)
				}
			}
		}
		calls := 0
		header := alice.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
			calls++
			if got, err := webtest.NameOf(ctx, m); got != "alice" || err != nil {
				t.Errorf("%s twice: got %q, %v", name, got, err)
			}
			s, err := session.FromContext(ctx.Request.Context())
			if again, _ := m.GetSession(ctx); s != again || err != nil {
				t.Errorf("%s twice: FromContext gave another session (%v)", name, err)
			}
			_, _ = ctx.ResponseWriter.Write([]byte("out"))
			if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrHeaderWritten) {
				t.Errorf("%s twice: got %v, want ErrHeaderWritten", name, err)
			}
		}, twice[0], between, twice[1]))
		if got, want := rec.Take(), "extract Open"; calls != 1 || got != want {
			t.Errorf("%s twice: %d calls of the handler, calls of the store %q, want %q", name, calls, got, want)
		}
		if got := webtest.SetCookies(header); got != nil {
			t.Errorf("%s twice: got Set-Cookie %q, want none", name, got)
		}
	}
}

// The inner Middleware keeps a session that the application put into the context behind
// the outer one.
func TestMiddlewareTwiceKeepsByHand(t *testing.T) {
	m, _ := webtest.Spied()
	byHand := &webtest.PlainSession{Handle: "by-hand"}
	puts := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			ctx.UserValues = map[string]any{"session": byHand}
			next(ctx)
		}
	}
	(&webtest.Browser{}).Visit(t, webtest.Wrap(func(ctx *mist.Context) {
		if s, err := m.GetSession(ctx); s != byHand || err != nil {
			t.Errorf("got another session (%v)", err)
		}
	}, m.Middleware(), puts, m.Middleware()))
}

// If a middleware replaces the request by one without our value, as
// Request.WithContext(ctx.Context()) does, the next Middleware adds it again.
func TestMiddlewareTwiceRestoresFromContext(t *testing.T) {
	m, _ := webtest.Spied()
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	loses := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			ctx.Request = ctx.Request.WithContext(t.Context())
			next(ctx)
		}
	}
	alice.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
		want, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		if s, err := session.FromContext(ctx.Request.Context()); s != want || err != nil {
			t.Errorf("right inside the Middleware: got %v", err)
		}
	}, m.Middleware(), loses, m.Middleware()))
}

func TestMiddlewareOfTwoManagers(t *testing.T) {
	a, recA := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{Name: "__Host-a"})
	b, recB := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{Name: "__Host-b"})
	visitor := &webtest.Browser{}
	visitor.BeginNamed(t, a, "alice")
	visitor.BeginNamed(t, b, "bob")
	recA.Take()
	recB.Take()
	values := map[string]any{}
	visitor.Pooled(t, values, webtest.Wrap(func(ctx *mist.Context) {
		for m, want := range map[*session.Manager]string{a: "alice", b: "bob"} {
			if got, err := webtest.NameOf(ctx, m); got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
		inner, _ := b.GetSession(ctx)
		if s, err := session.FromContext(ctx.Request.Context()); s != inner || err != nil {
			t.Errorf("FromContext does not give the inner manager's session (%v)", err)
		}
		ctx.ResponseWriter.WriteHeader(http.StatusOK)
		for _, m := range []*session.Manager{a, b} {
			if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrHeaderWritten) {
				t.Errorf("got %v, want ErrHeaderWritten", err)
			}
		}
	}, a.Middleware(), b.Middleware()))
	if got, want := recA.Take()+" "+recB.Take(), "extract Open extract Open"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
	if values["session"] != nil {
		t.Error("a session is left in UserValues")
	}
}
