package session_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

const cookieName = "__Host-Http-session" // the default

// A browser visits handlers and keeps the cookies it is given.
type browser struct {
	cookies map[string]string
}

func (b *browser) request(ctx context.Context) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// visit sends one request and returns the header of the response.
func (b *browser) visit(t *testing.T, handler mist.HandleFunc) http.Header {
	t.Helper()
	resp := b.answer(t.Context(), handler)
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		if b.cookies == nil {
			b.cookies = make(map[string]string)
		}
		b.cookies[c.Name] = c.Value
	}
	return resp.Header
}

// answer is a visit whose response never arrives.
func (b *browser) answer(ctx context.Context, handler mist.HandleFunc) *http.Response {
	rec := httptest.NewRecorder()
	handler(&mist.Context{Request: b.request(ctx), ResponseWriter: rec})
	return rec.Result()
}

// tab returns a browser with the same cookies as of now.
func (b *browser) tab() *browser {
	return &browser{maps.Clone(b.cookies)}
}

// login makes a session of m with a value in it.
func (b *browser) login(t *testing.T, m *session.Manager, name string) {
	t.Helper()
	b.visit(t, func(ctx *mist.Context) {
		s, err := m.InitSession(ctx)
		if err != nil {
			t.Fatalf("InitSession: %v", err)
		}
		if err := s.Set(ctx.Request.Context(), "name", name); err != nil {
			t.Fatalf("Set: %v", err)
		}
	})
}

// name returns whom m takes the browser for.
func (b *browser) name(t *testing.T, m *session.Manager) (name string, err error) {
	t.Helper()
	b.visit(t, func(ctx *mist.Context) { name, err = nameOf(ctx, m) })
	return name, err
}

func nameOf(ctx *mist.Context, m *session.Manager) (string, error) {
	s, err := m.GetSession(ctx)
	if err != nil {
		return "", err
	}
	v, err := s.Get(ctx.Request.Context(), "name")
	name, _ := v.(string)
	return name, err
}

func (b *browser) rotate(t *testing.T, m *session.Manager) {
	t.Helper()
	b.visit(t, func(ctx *mist.Context) {
		if err := m.RotateSession(ctx); err != nil {
			t.Errorf("RotateSession: %v", err)
		}
	})
}

// is checks whom m takes the browser for; nobody is "".
func (b *browser) is(t *testing.T, m *session.Manager, want string) {
	t.Helper()
	got, err := b.name(t, m)
	switch {
	case want == "" && !errors.Is(err, session.ErrNotFound):
		t.Errorf("got %q, %v, want nobody", got, err)
	case want != "" && (got != want || err != nil):
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// tokens matches what must not be in the output of a test.
var tokens = regexp.MustCompile(`[A-Za-z0-9_-]+\.[A-Z2-7]{26,64}`)

// setCookies returns the Set-Cookie lines of a response with TOKEN for tokens.
func setCookies(h http.Header) []string {
	var lines []string
	for _, line := range h["Set-Cookie"] {
		lines = append(lines, tokens.ReplaceAllString(line, "TOKEN"))
	}
	return lines
}

// fields returns the names of what is in a header; its values may be secret.
func fields(h http.Header) []string {
	return slices.Sorted(maps.Keys(h))
}
