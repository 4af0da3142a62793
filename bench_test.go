package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// fiveValues is what the sessions of the benchmarks hold.
func fiveValues() map[string]any {
	return map[string]any{
		"user":    "alice",
		"theme":   "dark",
		"visits":  int64(42),
		"trusted": true,
		"since":   time.Now(),
	}
}

// login returns a manager, a session of five values in it and a request that
// carries its token.
func login(tb testing.TB) (*session.Manager, *http.Request) {
	tb.Helper()
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	rec := httptest.NewRecorder()
	s, err := m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: rec})
	if err != nil {
		tb.Fatal(err)
	}
	if err := session.SetAll(tb.Context(), s, fiveValues()); err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range rec.Result().Cookies() {
		r.AddCookie(c)
	}
	return m, r
}

// A usage is what a handler does with a session, and what it may allocate for that
// beside an empty handler.
type usage struct {
	name        string
	request     *http.Request
	handler     func(ctx *mist.Context) error
	allocations float64
}

func usages(tb testing.TB, m *session.Manager, r *http.Request) []usage {
	tb.Helper()
	bare := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", nil)
	bare.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	return []usage{
		{"session=none", r, func(*mist.Context) error { return nil }, 0},
		{"session=read", r, func(ctx *mist.Context) error {
			s, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			_, err = s.Get(ctx.Request.Context(), "user")
			return err
		}, 4},
		{"session=nocookie", bare, func(ctx *mist.Context) error {
			if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
				return fmt.Errorf("got %w, want ErrNotFound", err)
			}
			return nil
		}, 2},
		{"session=login", bare, func(ctx *mist.Context) error {
			s, err := m.LoginWith(ctx, session.Login{User: "alice", Values: map[string]any{
				"theme": "dark", "visits": int64(42), "trusted": true,
			}})
			if err != nil {
				return err
			}
			return m.Store.Remove(ctx.Request.Context(), s.ID()) // or the memory fills
		}, 20},
	}
}

// BenchmarkRequest bounds what a session costs a whole mist request: the difference to
// the handler that does nothing, for a request that reads one value of five, one without
// a cookie, and a login with three values.
func BenchmarkRequest(b *testing.B) {
	m, r := login(b)
	cases := usages(b, m, r)
	run := func(name string, u usage, use ...mist.Middleware) {
		b.Run(name, func(b *testing.B) {
			server := mist.InitHTTPServer()
			server.Use(use...)
			server.GET("/", func(ctx *mist.Context) {
				if err := u.handler(ctx); err != nil {
					b.Error(err)
				}
			})
			w := webtest.DiscardWriter{}
			b.ReportAllocs()
			for b.Loop() {
				clear(w)
				server.ServeHTTP(w, u.request)
			}
		})
	}
	for _, u := range cases {
		run(u.name, u)
	}
	run(cases[1].name+"/middleware", cases[1], m.Middleware())
}

// BenchmarkGetSessionAgain bounds the second and every further GetSession of a
// request.
func BenchmarkGetSessionAgain(b *testing.B) {
	m, r := login(b)
	ctx := &mist.Context{Request: r, ResponseWriter: webtest.DiscardWriter{}}
	if _, err := m.GetSession(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.GetSession(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBound is what binding a session to its device costs each of its requests: a
// look at the end of its token.
func BenchmarkBound(b *testing.B) {
	for _, bound := range []bool{false, true} {
		b.Run(fmt.Sprintf("bound=%t", bound), func(b *testing.B) {
			m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: boundName}, DeviceBound: 24 * time.Hour}
			w := httptest.NewRecorder()
			ctx := &mist.Context{Request: httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil), ResponseWriter: w}
			s, err := m.Login(ctx, "alice")
			if err == nil && bound {
				s, err = m.BindDevice(ctx, (&verified{}).bind)
			}
			if err != nil {
				b.Fatal(err)
			}
			req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			req.AddCookie(&http.Cookie{Name: boundName, Value: session.Token(s)})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.GetSession(&mist.Context{Request: req, ResponseWriter: w}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
