package session_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
)

// A held response is what a middleware keeps back: a header of its own, and the body.
type held struct {
	http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *held) Header() http.Header         { return w.header }
func (w *held) WriteHeader(code int)        { w.status = code }
func (w *held) Write(p []byte) (int, error) { return w.body.Write(p) }

// holding serves with a response that goes on to w in the end.
func holding(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &held{ResponseWriter: w, header: make(http.Header), status: http.StatusOK}
		inner.ServeHTTP(h, r)
		maps.Copy(w.Header(), h.header)
		w.WriteHeader(h.status)
		_, _ = w.Write(h.body.Bytes())
	})
}

// What a server does inside of a handler of another one reaches the client, whatever
// stands between the two.
func TestSeamNested(t *testing.T) {
	plain := func(h http.Handler) http.Handler { return h }
	for name, between := range map[string]func(http.Handler) http.Handler{
		"nothing": plain, "http.TimeoutHandler": func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Hour, "") },
		"a held response": holding,
	} {
		for _, tt := range []struct {
			name         string
			outer, inner func(m *session.Manager) seamFlow
			want         string
		}{
			{"a write", reading, newValue, "anonymous with new"},
			{"a login", refreshing, asAlice, "alice"},
			{"a write and a login", newValue, asAlice, "alice with new"},
		} {
			for store, st := range seedStores() {
				t.Run(name+"/"+tt.name+"/"+store, func(t *testing.T) {
					m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
					b := &webtest.Browser{}
					b.Visit(t, succeeds(t, beginning(m)))
					inner := mist.InitHTTPServer()
					inner.Use(m.Middleware())
					inner.GET("/", func(ctx *mist.Context) {
						succeeds(t, tt.inner(m))(ctx)
						_, _ = io.WriteString(ctx.ResponseWriter, "page")
					})
					b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
						succeeds(t, tt.outer(m))(ctx)
						between(inner).ServeHTTP(ctx.ResponseWriter, ctx.Request)
					}))
					check(t, "the next request", seen(t, b, m), tt.want, nil)
				})
			}
		}
	}
}

func newValue(m *session.Manager) seamFlow { return storing(m, "k", "new") }
func asAlice(m *session.Manager) seamFlow  { return webtest.LogIn(m, "alice") }

// The same for two Managers of two cookies, where the inner Middleware sees the header
// of a held response go out, and not the one of the request.
func TestSeamHeldBetweenManagers(t *testing.T) {
	m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}, CtxSessionKey: "a"}
	other := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{Name: "__Host-other"}, CtxSessionKey: "b"}
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m)))
	b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
		outer := ctx.ResponseWriter
		holding(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			ctx.ResponseWriter = w
			other.Middleware()(func(ctx *mist.Context) {
				succeeds(t, inOrder(newValue(m), beginning(other)))(ctx)
				_, _ = io.WriteString(ctx.ResponseWriter, "page")
			})(ctx)
		})).ServeHTTP(outer, ctx.Request)
	}))
	check(t, "the next request", seen(t, b, m), "anonymous with new", nil)
	check(t, "the other session", seen(t, b, other), "anonymous", nil)
}

// What an inner server answers may be thrown away: the outer handler still writes.
func TestSeamNestedDiscarded(t *testing.T) {
	m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m)))
	b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
		succeeds(t, reading(m))(ctx)
		inner := &mist.Context{Request: ctx.Request, ResponseWriter: &held{ResponseWriter: ctx.ResponseWriter, header: make(http.Header)}}
		m.Middleware()(func(ctx *mist.Context) { _, _ = io.WriteString(ctx.ResponseWriter, "page") })(inner)
		succeeds(t, newValue(m))(ctx)
	}))
	check(t, "the next request", seen(t, b, m), "anonymous with new", nil)
}

// An inner request with a cookie of its own has a session of its own.
func TestSeamNestedOtherCookie(t *testing.T) {
	m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}}
	outer, inner := &webtest.Browser{}, &webtest.Browser{}
	outer.Visit(t, succeeds(t, beginning(m)))
	inner.Visit(t, succeeds(t, webtest.LogIn(m, "alice")))
	outer.Visit(t, m.Middleware()(func(ctx *mist.Context) {
		succeeds(t, reading(m))(ctx)
		w := httptest.NewRecorder()
		m.Middleware()(succeeds(t, newValue(m)))(&mist.Context{Request: inner.Request(ctx.Request.Context()), ResponseWriter: w})
		for _, c := range w.Result().Cookies() {
			inner.Cookies[c.Name] = c.Value
		}
	}))
	check(t, "the outer session", seen(t, outer, m), "anonymous", nil)
	check(t, "the inner session", seen(t, inner, m), "alice with new", nil)
}
