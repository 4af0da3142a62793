package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// The rows below are behaviours that the documentation of other session libraries
// promises. Each has a comment that names it.

// seedStores are the stores that a single program has.
func seedStores() map[string]session.Store {
	return map[string]session.Store{
		"memory": &memory.Store{IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour},
		"sealed": &sealed.Store{Keys: [][]byte{sealed.NewKey()}, IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour},
	}
}

// A seedVisit is one visitor of a site of one page, which does what the test says.
type seedVisit struct {
	m    *session.Manager
	bare bool // the site has no Middleware
	site *webtest.Site
	c    *http.Client
	page atomic.Pointer[func(ctx *mist.Context)]
}

// seeded runs a test with each store, with the Middleware and without. inside are
// middlewares between the Middleware and the page.
func seeded(t *testing.T, test func(t *testing.T, v *seedVisit), inside ...mist.Middleware) {
	t.Helper()
	for name := range seedStores() {
		for _, bare := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/bare=%t", name, bare), func(t *testing.T) {
				m := &session.Manager{Store: seedStores()[name], Propagator: &cookie.Propagator{Insecure: true}}
				around := inside
				if !bare {
					around = append([]mist.Middleware{m.Middleware()}, inside...)
				}
				v := &seedVisit{m: m, bare: bare, site: webtest.Serve(t, false, around...)}
				v.site.Mist.GET("/", func(ctx *mist.Context) { (*v.page.Load())(ctx) })
				v.c = v.site.Visitor(t)
				test(t, v)
			})
		}
	}
}

// visit loads the page.
func (v *seedVisit) visit(t *testing.T, page func(ctx *mist.Context)) *http.Response {
	t.Helper()
	v.page.Store(&page)
	resp, _ := v.site.Fetch(t, v.c, "/")
	return resp
}

// sound returns a session that no test lives without.
func sound(t *testing.T) func(s session.Session, err error) session.Session {
	return func(s session.Session, err error) session.Session {
		t.Helper()
		if err != nil {
			t.Error(err)
			runtime.Goexit()
		}
		return s
	}
}

func check(t *testing.T, what string, got, want any, err error) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
	}
}

type seedKey struct{}

// Put, Get and Del work by the context.Context of the request, also after a middleware,
// and then the handler, replaced the request by Request.WithContext. It takes the Middleware:
// without it a context belongs to no session.
func TestSeedContext(t *testing.T) {
	replace := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			ctx.Request = ctx.Request.WithContext(context.WithValue(ctx.Request.Context(), seedKey{}, 1))
			next(ctx)
		}
	}
	seeded(t, func(t *testing.T, v *seedVisit) {
		v.visit(t, func(ctx *mist.Context) { sound(t)(v.m.InitSession(ctx)) })
		if v.bare {
			v.visit(t, func(ctx *mist.Context) {
				sound(t)(v.m.GetSession(ctx))
				if _, err := session.FromContext(ctx.Request.Context()); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
			})
			return
		}
		value := func(ctx context.Context) any {
			got, err := sound(t)(session.FromContext(ctx)).Get(ctx, "k")
			check(t, "Get", err, error(nil), nil)
			return got
		}
		v.visit(t, func(ctx *mist.Context) {
			c := ctx.Request.Context()
			err := sound(t)(session.FromContext(c)).Set(c, "k", "v")
			ctx.Request = ctx.Request.WithContext(context.WithValue(c, seedKey{}, 2))
			check(t, "Put, in the same request", value(ctx.Request.Context()), "v", err)
		})
		v.visit(t, func(ctx *mist.Context) {
			c := ctx.Request.Context()
			check(t, "Put, in the next request", value(c), "v", nil)
			err := session.Delete(c, sound(t)(session.FromContext(c)), "k")
			check(t, "Del, in the same request", value(c), nil, err)
		})
		v.visit(t, func(ctx *mist.Context) { check(t, "Del, in the next", value(ctx.Request.Context()), nil, nil) })
	}, replace)
}

// Secure and HttpOnly are set by default, and so are the other safe attributes.
func TestSeedSecureByDefault(t *testing.T) {
	for name, store := range seedStores() {
		m := &session.Manager{Store: store, Propagator: &cookie.Propagator{}}
		w := httptest.NewRecorder()
		sound(t)(m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w}))
		c := w.Result().Cookies()[0]
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
			t.Errorf("%s: the cookie is less safe", name)
		}
	}
}

// Values that a handler sets are there in the next request.
// Clear takes out all of them, and the session goes on.
// Delete takes out one, and the others stay.
// FromContext gives the session that GetSession gives, the same object.
func TestSeedValues(t *testing.T) {
	seeded(t, func(t *testing.T, v *seedVisit) {
		var id string
		v.visit(t, func(ctx *mist.Context) {
			s, c := sound(t)(v.m.InitSession(ctx)), ctx.Request.Context()
			id = s.ID()
			check(t, "SetAll", session.SetAll(c, s, map[string]any{"a": 1, "b": "two", "c": true}), error(nil), nil)
		})
		shown := func(want map[string]any) {
			t.Helper()
			v.visit(t, func(ctx *mist.Context) {
				s, c := sound(t)(v.m.GetSession(ctx)), ctx.Request.Context()
				check(t, "the id", s.ID(), id, nil)
				if !v.bare {
					check(t, "FromContext", sound(t)(session.FromContext(c)), s, nil)
				}
				for _, key := range []string{"a", "b", "c"} {
					got, err := s.Get(c, key)
					check(t, key, got, want[key], err)
				}
			})
		}
		change := func(f func(c context.Context, s session.Session) error) {
			t.Helper()
			v.visit(t, func(ctx *mist.Context) {
				check(t, "the change", f(ctx.Request.Context(), sound(t)(v.m.GetSession(ctx))), error(nil), nil)
			})
		}
		shown(map[string]any{"a": 1, "b": "two", "c": true})
		change(func(c context.Context, s session.Session) error { return session.Delete(c, s, "b") })
		shown(map[string]any{"a": 1, "c": true})
		change(session.Clear)
		shown(nil)
	})
}

// A custom store works: four methods, without anything else.
func TestSeedCustomStore(t *testing.T) {
	m, _ := webtest.SpiedPlain()
	w := httptest.NewRecorder()
	s := sound(t)(m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w}))
	check(t, "Set", s.Set(t.Context(), "k", "v"), error(nil), nil)
	next := httptest.NewRequest(http.MethodGet, "/", nil)
	next.Header["Cookie"] = []string{w.Result().Cookies()[0].String()}
	got, err := sound(t)(m.GetSession(&mist.Context{Request: next, ResponseWriter: httptest.NewRecorder()})).Get(t.Context(), "k")
	check(t, "Get, in the next request", got, "v", err)
}

// The settings of the cookie are applied, each of them.
func TestSeedCookieSettings(t *testing.T) {
	for name, store := range seedStores() {
		m := &session.Manager{Store: store, Propagator: &cookie.Propagator{
			Name: "sid", Path: "/app", Domain: "example.com", SameSite: http.SameSiteStrictMode, MaxAge: time.Hour, Partitioned: true,
		}}
		w := httptest.NewRecorder()
		sound(t)(m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w}))
		c := w.Result().Cookies()[0]
		if c.Name != "sid" || c.Path != "/app" || c.Domain != "example.com" || c.SameSite != http.SameSiteStrictMode ||
			c.MaxAge != 3600 || !c.Partitioned || !c.Secure || !c.HttpOnly {
			t.Errorf("%s: the cookie has other settings", name)
		}
	}
}

// The id and the CSRF token change from nobody to somebody. The id does not change when
// the same user logs in again. (Elsewhere the CSRF token does not change then either. Here a
// login voids the forms from before it, because whoever left them open may be somebody else.)
func TestSeedLogins(t *testing.T) {
	seeded(t, func(t *testing.T, v *seedVisit) {
		var ids, tokens []string
		note := func(ctx *mist.Context, s session.Session) {
			token, err := session.CSRFToken(ctx.Request.Context(), s)
			check(t, "CSRFToken", err, error(nil), nil)
			ids, tokens = append(ids, s.ID()), append(tokens, token)
		}
		v.visit(t, func(ctx *mist.Context) { note(ctx, sound(t)(v.m.InitSession(ctx))) })
		for range 2 {
			time.Sleep(time.Millisecond) // a login at another time
			v.visit(t, func(ctx *mist.Context) { note(ctx, sound(t)(v.m.Login(ctx, "ada"))) })
		}
		if ids[0] == ids[1] || ids[1] != ids[2] {
			t.Errorf("got the ids %v, want a new one at the first login alone", ids)
		}
		v.visit(t, func(ctx *mist.Context) {
			s := sound(t)(v.m.GetSession(ctx))
			for i, want := range []error{session.ErrForged, session.ErrForged, nil} {
				if err := session.CheckCSRFToken(ctx.Request.Context(), s, tokens[i]); !errors.Is(err, want) {
					t.Errorf("CSRF token %d: got %v, want %v", i, err, want)
				}
			}
		})
	})
}

// A store refuses nonsense: ids, users, values and durations that cannot be.
func TestSeedNonsense(t *testing.T) {
	for name, store := range seedStores() {
		us := store.(session.UserStore)
		s := sound(t)(store.Generate(t.Context(), "id"))
		_, empty := store.Generate(t.Context(), "")
		_, dots := store.Generate(t.Context(), "../../etc")
		_, nobody := us.Login(t.Context(), "", session.Login{})
		_, malformed := us.Login(t.Context(), "nonsense", session.Login{User: "ada"})
		for what, tt := range map[string]struct{ got, want error }{
			"an empty id":         {empty, session.ErrInvalidID},
			"an id with dots":     {dots, session.ErrInvalidID},
			"a user of no name":   {nobody, session.ErrInvalidUser},
			"a malformed token":   {malformed, session.ErrNotFound},
			"a value of no type":  {s.Set(t.Context(), "k", nil), session.ErrValue},
			"a function":          {s.Set(t.Context(), "k", func() {}), session.ErrValue},
			"a key of 300 bytes":  {s.Set(t.Context(), string(make([]byte, 300)), 1), session.ErrTooLarge},
			"a cancelled context": {s.Set(ended(), "k", 1), context.Canceled},
		} {
			if !errors.Is(tt.got, tt.want) {
				t.Errorf("%s: %s: got %v, want %v", name, what, tt.got, tt.want)
			}
		}
		if _, err := us.Login(t.Context(), "", session.Login{User: "ada", IdleTimeout: -time.Second}); err == nil {
			t.Errorf("%s: a negative timeout: no error", name)
		}
		if _, err := us.Rotate(t.Context(), session.Token(s), -time.Second); err == nil {
			t.Errorf("%s: a negative grace: no error", name)
		}
	}
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// A session that has expired is gone when somebody asks, without a goroutine that sweeps;
// and time is under the control of the test, in a bubble of testing/synctest.
func TestSeedLazyExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, store := range seedStores() {
			ts := store.(session.TokenStore)
			before := webtest.Goroutines(t)
			token := session.Token(sound(t)(store.Generate(t.Context(), "id")))
			time.Sleep(time.Minute - time.Millisecond)
			sound(t)(ts.Open(t.Context(), token))
			time.Sleep(time.Millisecond)
			if _, err := ts.Open(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", name, err)
			}
			check(t, name+": goroutines", webtest.Goroutines(t), before, nil)
		}
	})
}
