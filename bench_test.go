package session_test

import (
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
func login(b *testing.B) (*session.Manager, *http.Request) {
	b.Helper()
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	rec := httptest.NewRecorder()
	s, err := m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: rec})
	if err != nil {
		b.Fatal(err)
	}
	if err := session.SetAll(b.Context(), s, fiveValues()); err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range rec.Result().Cookies() {
		r.AddCookie(c)
	}
	return m, r
}

// BenchmarkRequest bounds what a session costs a whole mist request: the
// difference between the handler that reads one value of five and the one that
// reads none.
func BenchmarkRequest(b *testing.B) {
	m, r := login(b)
	read := func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			b.Error(err)
			return
		}
		if v, err := s.Get(ctx.Request.Context(), "user"); err != nil || v != "alice" {
			b.Error("wrong value", err)
		}
	}
	for _, bench := range []struct {
		name    string
		handler mist.HandleFunc
		use     []mist.Middleware
	}{
		{"session=none", func(*mist.Context) {}, nil},
		{"session=read", read, nil},
		{"session=read/middleware", read, []mist.Middleware{m.Middleware()}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			server := mist.InitHTTPServer()
			server.Use(bench.use...)
			server.GET("/", bench.handler)
			w := webtest.Nowhere{}
			b.ReportAllocs()
			for b.Loop() {
				server.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkGetSessionAgain bounds the second and every further GetSession of a
// request.
func BenchmarkGetSessionAgain(b *testing.B) {
	m, r := login(b)
	ctx := &mist.Context{Request: r, ResponseWriter: webtest.Nowhere{}}
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
