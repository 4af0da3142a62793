package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// mist's pool hands a context on with its UserValues, to any server of the
// process (mist-notes Q01).
func TestMistPooledContext(t *testing.T) {
	const rounds = 100
	for protocol, h2 := range webtest.Protocols {
		for _, middleware := range []bool{false, true} {
			var (
				handedOn atomic.Int64
				sites    [2]*webtest.Site
			)
			canary := func(next mist.HandleFunc) mist.HandleFunc {
				return func(ctx *mist.Context) {
					if ctx.UserValues == nil {
						ctx.UserValues = make(map[string]any)
					}
					if ctx.UserValues["canary"] != nil {
						handedOn.Add(1)
					}
					ctx.UserValues["canary"] = true
					next(ctx)
				}
			}
			for i := range sites {
				m, _ := webtest.ManagerFor(h2)
				around := []mist.Middleware{canary}
				if middleware {
					around = append(around, m.Middleware())
				}
				sites[i] = webtest.Serve(t, h2, around...)
				webtest.LoginAndWho(sites[i].Mist, m)
			}
			one, other := sites[0], sites[1]
			alice, visitor, elsewhere := one.Visitor(t), one.Visitor(t), other.Visitor(t)
			one.Fetch(t, alice, "/login?as=alice")
			foreign := 0
			for range rounds {
				if _, who := one.Fetch(t, alice, "/who"); who != "alice" {
					t.Fatalf("%s: alice is %q", protocol, who)
				}
				for s, c := range map[*webtest.Site]*http.Client{one: visitor, other: elsewhere} {
					if _, who := s.Fetch(t, c, "/who"); who != webtest.Anonymous {
						foreign++
					}
				}
			}
			if foreign != 0 {
				t.Errorf("%s, middleware %t: %d of %d anonymous requests got a session", protocol, middleware, foreign, 2*rounds)
			}
			if handedOn.Load() == 0 {
				t.Errorf("%s: no context was handed on, so this shows nothing", protocol)
			}
		}
	}
}

// What the application puts under CtxSessionKey is gone at the next request.
func TestMistByHandIsNotHandedOn(t *testing.T) {
	m, _ := webtest.ManagerFor(false)
	s := webtest.Serve(t, false, m.Middleware())
	s.Mist.GET("/hand", func(ctx *mist.Context) {
		if ctx.UserValues == nil {
			ctx.UserValues = make(map[string]any)
		}
		byHand := &webtest.PlainSession{Handle: "by-hand"}
		byHand.Values.Store("name", "hand")
		ctx.UserValues["session"] = byHand
		name, err := webtest.NameOf(ctx, m)
		webtest.Respond(ctx, name, err)
	})
	webtest.LoginAndWho(s.Mist, m)
	c := s.Visitor(t)
	for range 50 {
		if _, who := s.Fetch(t, c, "/hand"); who != "hand" {
			t.Errorf("got %q, want what was put there", who)
		}
		if _, who := s.Fetch(t, c, "/who"); who != webtest.Anonymous {
			t.Errorf("the next request got %q", who)
		}
	}
}

// Middlewares replace the request (Q11); mist's own for OpenTelemetry does what
// the first of these does.
func TestMistRequestReplaced(t *testing.T) {
	type key struct{}
	replacing := map[string]func(r *http.Request) *http.Request{
		"WithContext": func(r *http.Request) *http.Request {
			return r.WithContext(context.WithValue(r.Context(), key{}, "span"))
		},
		"Clone":                           func(r *http.Request) *http.Request { return r.Clone(context.WithValue(r.Context(), key{}, "span")) },
		"Clone with a context of its own": func(r *http.Request) *http.Request { return r.Clone(r.Context()) },
	}
	for name, replace := range replacing {
		between := func(next mist.HandleFunc) mist.HandleFunc {
			return func(ctx *mist.Context) {
				ctx.Request = replace(ctx.Request)
				next(ctx)
			}
		}
		m, rec := webtest.ManagerFor(false)
		guard := func(next mist.HandleFunc) mist.HandleFunc {
			return func(ctx *mist.Context) {
				_, _ = m.GetSession(ctx)
				next(ctx)
			}
		}
		for position, around := range map[string][]mist.Middleware{
			"inside the Middleware":  {m.Middleware(), guard, between},
			"outside the Middleware": {between, m.Middleware(), guard},
			"around a guard":         {guard, between, guard, m.Middleware(), between},
			"without the Middleware": {guard, between},
		} {
			s := webtest.Serve(t, false, around...)
			webtest.LoginAndWho(s.Mist, m)
			s.Mist.GET("/context", func(ctx *mist.Context) {
				fromContext, err := session.FromContext(ctx.Request.Context())
				if strings.HasPrefix(position, "without") {
					fromContext, err = m.GetSession(ctx)
				}
				if got, _ := m.GetSession(ctx); got != fromContext {
					err = errors.New("FromContext gives another session than GetSession")
				}
				// A *mist.Context is a context.Context.
				if again, _ := session.FromContext(ctx); again != fromContext && !strings.HasPrefix(position, "without") {
					err = errors.New("FromContext gives another session for the mist context")
				}
				webtest.Respond(ctx, "same", err)
			})
			alice := s.Visitor(t)
			s.Fetch(t, alice, "/login?as=alice")
			rec.Take()
			if _, who := s.Fetch(t, alice, "/who"); who != "alice" {
				t.Errorf("%s %s: got %q", name, position, who)
			}
			if got, want := rec.Take(), "extract Open"; got != want {
				t.Errorf("%s %s: got calls %q, want %q", name, position, got, want)
			}
			if _, got := s.Fetch(t, alice, "/context"); got != "same" {
				t.Errorf("%s %s: got %q", name, position, got)
			}
			if _, who := s.Fetch(t, s.Visitor(t), "/who"); who != webtest.Anonymous {
				t.Errorf("%s %s: a visitor is %q", name, position, who)
			}
		}
	}
}

// mist has no recovery of its own (Q08).
func TestMistPanics(t *testing.T) {
	for _, middleware := range []bool{false, true} {
		m, _ := webtest.ManagerFor(false)
		var around []mist.Middleware
		if middleware {
			around = append(around, m.Middleware())
		}
		s := webtest.Serve(t, false, around...)
		webtest.LoginAndWho(s.Mist, m)
		for path, value := range map[string]any{"/panic": "boom", "/abort": http.ErrAbortHandler} {
			s.Mist.GET(path, func(ctx *mist.Context) {
				if _, err := m.GetSession(ctx); err != nil {
					t.Errorf("GetSession: %v", err)
				}
				panic(value)
			})
		}
		recovery := func(next mist.HandleFunc) mist.HandleFunc {
			return func(ctx *mist.Context) {
				defer func() {
					if recover() != nil {
						ctx.AbortWithStatus(http.StatusInternalServerError)
					}
				}()
				next(ctx)
			}
		}
		s.Mist.GET("/recovered", func(ctx *mist.Context) {
			made, err := m.InitSession(ctx)
			if err == nil {
				err = made.Set(ctx.Request.Context(), "name", "carol")
			}
			panic(err)
		}, recovery)
		alice, visitor, carol := s.Visitor(t), s.Visitor(t), s.Visitor(t)
		s.Fetch(t, alice, "/login?as=alice")
		for range 20 {
			for _, path := range []string{"/panic", "/abort"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp, err := alice.Do(req); err == nil {
					_ = resp.Body.Close()
					t.Errorf("%s: got an answer, status %d", path, resp.StatusCode)
				}
				if _, who := s.Fetch(t, visitor, "/who"); who != webtest.Anonymous {
					t.Errorf("middleware %t: after a panic of alice's a visitor is %q", middleware, who)
				}
				if _, who := s.Fetch(t, alice, "/who"); who != "alice" {
					t.Errorf("middleware %t: after her panic alice is %q", middleware, who)
				}
			}
		}
		if got := s.ServerLog(); strings.Count(got, "panic serving") < 20 || strings.Contains(got, "nil pointer") {
			t.Errorf("middleware %t: the panic is not what net/http saw: %s", middleware, got)
		}
		resp, _ := s.Fetch(t, carol, "/recovered")
		if resp.StatusCode != http.StatusInternalServerError || len(resp.Cookies()) != 1 {
			t.Errorf("middleware %t: got status %d, %d cookies, want 500 and the login's", middleware, resp.StatusCode, len(resp.Cookies()))
		}
		if _, who := s.Fetch(t, carol, "/who"); who != "carol" {
			t.Errorf("middleware %t: carol is %q", middleware, who)
		}
	}
}

// RespondWithJSON sends the header at once (Q04), AbortWithStatus too (Q07).
func TestMistHeaderFirst(t *testing.T) {
	for name, send := range map[string]func(ctx *mist.Context){
		"RespondWithJSON": func(ctx *mist.Context) { _ = ctx.RespondWithJSON(http.StatusOK, "hi") },
		"AbortWithStatus": func(ctx *mist.Context) { ctx.AbortWithStatus(http.StatusForbidden) },
	} {
		for _, middleware := range []bool{true, false} {
			m, rec := webtest.ManagerFor(false)
			var around []mist.Middleware
			if middleware {
				around = append(around, m.Middleware())
			}
			s := webtest.Serve(t, false, around...)
			m.NewID = func() string { return "late" }
			var late error
			s.Mist.GET("/late", func(ctx *mist.Context) {
				send(ctx)
				_, late = m.InitSession(ctx)
			})
			s.Mist.GET("/early", func(ctx *mist.Context) {
				if err := m.RemoveSession(ctx); err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("RemoveSession: %v", err)
				}
				if _, err := m.InitSession(ctx); err != nil {
					t.Errorf("InitSession: %v", err)
				}
				send(ctx)
			})
			resp, _ := s.Fetch(t, s.Visitor(t), "/late")
			if len(resp.Cookies()) != 0 {
				t.Errorf("%s, middleware %t: a late cookie arrived", name, middleware)
			}
			_, err := m.Store.Get(t.Context(), "late")
			if middleware && (!errors.Is(late, session.ErrHeaderWritten) || !errors.Is(err, session.ErrNotFound)) {
				t.Errorf("%s: got %v and in the store %v, want ErrHeaderWritten and nothing", name, late, err)
			}
			// Without the Middleware nobody can know; the documentation says so.
			if !middleware && (late != nil || err != nil) {
				t.Errorf("%s: without the Middleware got %v, %v", name, late, err)
			}
			m.NewID, late = nil, nil
			rec.Take()
			c := s.Visitor(t)
			for range 2 {
				if resp, _ = s.Fetch(t, c, "/early"); len(resp.Header["Set-Cookie"]) != 1 {
					t.Errorf("%s, middleware %t: got %d Set-Cookie, want 1", name, middleware, len(resp.Header["Set-Cookie"]))
				}
			}
			if got, want := rec.Take(), "extract Generate inject extract Open Remove clear Generate inject"; got != want {
				t.Errorf("%s, middleware %t: got calls %q, want %q", name, middleware, got, want)
			}
			s.ServerLog() // mist's second WriteHeader, without the Middleware
		}
	}
}

// A group's middlewares run twice, and outside those of the server (Q10).
func TestMistGroup(t *testing.T) {
	m, rec := webtest.ManagerFor(false)
	var runs atomic.Int64
	count := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) { runs.Add(1); next(ctx) }
	}
	s := webtest.Serve(t, false, m.Middleware())
	// The route of the group's own path makes its middlewares run for those below.
	group := s.Mist.Group("/g", count, m.RequireSession(), m.Middleware())
	who := func(ctx *mist.Context) {
		name, err := webtest.NameOf(ctx, m)
		if found, fromErr := session.FromContext(ctx.Request.Context()); err == nil {
			if same, _ := m.GetSession(ctx); found != same {
				err = errors.Join(errors.New("FromContext gives another session"), fromErr)
			}
		}
		webtest.Respond(ctx, name, err)
	}
	group.GET("", who)
	group.GET("/who", who)
	webtest.LoginAndWho(s.Mist, m)
	alice := s.Visitor(t)
	s.Fetch(t, alice, "/login?as=alice")
	rec.Take()
	if _, got := s.Fetch(t, alice, "/g/who"); got != "alice" {
		t.Errorf("got %q", got)
	}
	if got, want := rec.Take(), "extract Open"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
	if runs.Load() != 2 {
		t.Errorf("the group's middlewares ran %d times, so this shows nothing about twice", runs.Load())
	}
	if resp, _ := s.Fetch(t, s.Visitor(t), "/g/who"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a visitor got status %d, want 401", resp.StatusCode)
	}
}
