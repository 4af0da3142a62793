// Package webtest has helpers for the tests of this module: a browser that visits handlers,
// a server that it can visit over the network, and stores and propagators that record
// their calls and fail on demand.
package webtest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

const CookieName = "__Host-Http-session" // the default

// A Browser visits handlers and keeps the cookies of the responses.
type Browser struct {
	Cookies map[string]string
}

func (b *Browser) Request(ctx context.Context) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// Visit sends one request and returns the header of the response.
func (b *Browser) Visit(t *testing.T, handler mist.HandleFunc) http.Header {
	t.Helper()
	resp := b.Answer(t.Context(), handler)
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.Cookies, c.Name)
			continue
		}
		if b.Cookies == nil {
			b.Cookies = make(map[string]string)
		}
		b.Cookies[c.Name] = c.Value
	}
	return resp.Header
}

// Answer sends one request and returns the response. The browser does not keep its cookies,
// as if the response got lost.
func (b *Browser) Answer(ctx context.Context, handler mist.HandleFunc) *http.Response {
	rec := httptest.NewRecorder()
	handler(&mist.Context{Request: b.Request(ctx), ResponseWriter: rec})
	return rec.Result()
}

// Tab returns another browser that has a copy of the cookies.
func (b *Browser) Tab() *Browser {
	return &Browser{maps.Clone(b.Cookies)}
}

// BeginNamed makes an anonymous session and stores a name in it.
func (b *Browser) BeginNamed(t *testing.T, m *session.Manager, name string) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) {
		s, err := m.InitSession(ctx)
		if err != nil {
			t.Fatalf("InitSession: %v", err)
		}
		if err := s.Set(ctx.Request.Context(), "name", name); err != nil {
			t.Fatalf("Set: %v", err)
		}
	})
}

// Name returns the name that BeginNamed stored.
func (b *Browser) Name(t *testing.T, m *session.Manager) (name string, err error) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) { name, err = NameOf(ctx, m) })
	return name, err
}

func NameOf(ctx *mist.Context, m *session.Manager) (string, error) {
	s, err := m.GetSession(ctx)
	if err != nil {
		return "", err
	}
	v, err := s.Get(ctx.Request.Context(), "name")
	name, _ := v.(string)
	return name, err
}

// Rotate gives the session of the browser a new token.
func (b *Browser) Rotate(t *testing.T, m *session.Manager) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) {
		if err := m.RotateSession(ctx); err != nil {
			t.Errorf("RotateSession: %v", err)
		}
	})
}

// Is checks that Name returns want. An empty want means that the browser has no session.
func (b *Browser) Is(t *testing.T, m *session.Manager, want string) {
	t.Helper()
	got, err := b.Name(t, m)
	switch {
	case want == "" && !errors.Is(err, session.ErrNotFound):
		t.Errorf("got %q, %v, want nobody", got, err)
	case want != "" && (got != want || err != nil):
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// Tokens matches tokens, which no test may print.
var Tokens = regexp.MustCompile(`[A-Za-z0-9_-]+\.[A-Z2-7]{26,64}`)

// SetCookies returns the Set-Cookie lines of a response, with TOKEN in place of each token.
func SetCookies(h http.Header) []string {
	var lines []string
	for _, line := range h["Set-Cookie"] {
		lines = append(lines, Tokens.ReplaceAllString(line, "TOKEN"))
	}
	return lines
}

// HeaderNames returns the names of the fields of a header. The values may be secret.
func HeaderNames(h http.Header) []string {
	return slices.Sorted(maps.Keys(h))
}

// SetForm gives a request a form as its body.
func SetForm(r *http.Request, contentType, body string) {
	r.Header.Set("Content-Type", contentType)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

// FormType is the content type of a plain form.
const FormType = "application/x-www-form-urlencoded"

// Wrap wraps a handler in middlewares, the first one outermost, as mist does.
func Wrap(handler mist.HandleFunc, ms ...mist.Middleware) mist.HandleFunc {
	for _, m := range slices.Backward(ms) {
		handler = m(handler)
	}
	return handler
}

// SetLine and ClearLine are the Set-Cookie lines of the default cookie.
const (
	SetLine   = "__Host-Http-session=TOKEN; Path=/; HttpOnly; Secure; SameSite=Lax"
	ClearLine = "__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
)

// Pooled sends one request with the UserValues of an earlier one, as mist's pool of contexts
// does.
func (b *Browser) Pooled(t *testing.T, left map[string]any, handler mist.HandleFunc) {
	t.Helper()
	handler(&mist.Context{Request: b.Request(t.Context()), ResponseWriter: httptest.NewRecorder(), UserValues: left})
}
