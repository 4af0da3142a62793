package session_test

import (
	"errors"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// Login and logout in one request leave nobody logged in, also when the client
// came with another session, which lives on.
func TestManagerRemoveSessionAfterLogin(t *testing.T) {
	m, rec := webtest.Spied()
	alice := &webtest.Browser{}
	alice.Login(t, m, "alice")
	carried := alice.Cookies[webtest.CookieName]
	alice.Visit(t, func(ctx *mist.Context) {
		if _, err := m.InitSession(ctx); err != nil {
			t.Fatalf("InitSession: %v", err)
		}
		if err := m.RemoveSession(ctx); err != nil {
			t.Fatalf("RemoveSession: %v", err)
		}
		rec.Take()
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after the logout: got %v, want ErrNotFound", err)
		}
		if got, want := rec.Take(), "extract"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		if _, err := m.InitSession(ctx); err != nil {
			t.Fatalf("InitSession again: %v", err)
		}
		if _, err := m.GetSession(ctx); err != nil {
			t.Errorf("after another login: %v", err)
		}
	})
	old := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: carried}}
	if name, err := old.Name(t, m); name != "alice" || err != nil {
		t.Errorf("the session that the client came with: got %q, %v", name, err)
	}
}
