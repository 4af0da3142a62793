package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// Values of a login are in the session when it succeeds, over those that it keeps. The
// store is asked once, so nothing can come between.
func TestLoginValues(t *testing.T) {
	values := map[string]any{"theme": "dark", "cart": "pears"}
	for name, c := range map[string]struct {
		before func(t *testing.T, m *session.Manager, b *webtest.Browser)
		kept   any
		calls  string
	}{
		"nobody": {func(*testing.T, *session.Manager, *webtest.Browser) {}, nil, "extract Login inject"},
		"anonymous": {func(t *testing.T, m *session.Manager, b *webtest.Browser) {
			t.Helper()
			b.Begin(t, m)
			b.Set(t, m, "kept", 7)
		}, 7, "extract Open Login inject"},
		"ada": {func(t *testing.T, m *session.Manager, b *webtest.Browser) {
			t.Helper()
			b.Enter(t, m, session.Login{User: "ada"})
			b.Set(t, m, "kept", 7)
		}, 7, "extract Open Login inject"},
		"bob": {func(t *testing.T, m *session.Manager, b *webtest.Browser) {
			t.Helper()
			b.Enter(t, m, session.Login{User: "bob"})
			b.Set(t, m, "kept", 7)
		}, nil, "extract Open Login Remove inject"},
	} {
		t.Run(name, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			c.before(t, m, b)
			rec.Take()
			want := map[string]any{"theme": "dark", "cart": "pears", "kept": c.kept}
			check := func(ctx *mist.Context, s session.Session) {
				for key, want := range want {
					if v, err := s.Get(ctx.Request.Context(), key); v != want || err != nil {
						t.Errorf("%s: got %v, %v, want %v", key, v, err, want)
					}
				}
			}
			b.Visit(t, func(ctx *mist.Context) {
				s, err := m.LoginWith(ctx, session.Login{User: "ada", Values: values})
				if err != nil {
					t.Fatal(err)
				}
				check(ctx, s)
			})
			if got := rec.Take(); got != c.calls {
				t.Errorf("got calls %q, want %q", got, c.calls)
			}
			b.Visit(t, func(ctx *mist.Context) { check(ctx, webtest.Loaded(t, m, ctx)) })
		})
	}
}

// A value that no store keeps refuses the login, whoever the client is: they stay that,
// with their values.
func TestLoginValuesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]any
		want   error
	}{
		"a function":  {map[string]any{"theme": "dark", "bad": func() {}}, session.ErrValue},
		"nil":         {map[string]any{"theme": "dark", "bad": nil}, session.ErrValue},
		"a long key":  {map[string]any{"theme": "dark", strings.Repeat("k", session.MaxKeySize+1): 1}, session.ErrTooLarge},
		"a big value": {map[string]any{"theme": "dark", "bad": strings.Repeat("v", session.MaxValueSize+1)}, session.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			l := session.Login{User: "ada", Values: c.values}
			m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
			refused(t, m, l, c.want)
			(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
				if _, err := m.LoginWith(ctx, l); !errors.Is(err, c.want) {
					t.Errorf("nobody: got %v, want %v", err, c.want)
				}
			})
			for _, user := range []string{"ada", "bob"} {
				b := &webtest.Browser{}
				b.Enter(t, m, session.Login{User: user, Values: map[string]any{"theme": "light"}})
				before := b.Describe(t, m)
				b.Visit(t, func(ctx *mist.Context) {
					if _, err := m.LoginWith(ctx, l); !errors.Is(err, c.want) {
						t.Errorf("%s: got %v, want %v", user, err, c.want)
					}
				})
				b.Visit(t, func(ctx *mist.Context) {
					s := webtest.Loaded(t, m, ctx)
					if v, err := s.Get(ctx.Request.Context(), "theme"); v != "light" || err != nil || webtest.Describe(t)(s, nil) != before {
						t.Errorf("%s: the session is another one, or its values are", user)
					}
				})
			}
			if list := must(t)(m.UserSessions(t.Context(), "ada")); len(list) != 1 {
				t.Errorf("ada has %d sessions, want 1", len(list))
			}
		})
	}
}
