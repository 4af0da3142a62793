package session_test

import (
	"errors"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// Login and logout in one request leave nobody logged in, also when the client
// came with another session, which lives on.
func TestManagerRemoveSessionAfterLogin(t *testing.T) {
	m, rec := spied()
	alice := &browser{}
	alice.login(t, m, "alice")
	carried := alice.cookies[cookieName]
	alice.visit(t, func(ctx *mist.Context) {
		if _, err := m.InitSession(ctx); err != nil {
			t.Fatalf("InitSession: %v", err)
		}
		if err := m.RemoveSession(ctx); err != nil {
			t.Fatalf("RemoveSession: %v", err)
		}
		rec.take()
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after the logout: got %v, want ErrNotFound", err)
		}
		if got, want := rec.take(), "extract"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		if _, err := m.InitSession(ctx); err != nil {
			t.Fatalf("InitSession again: %v", err)
		}
		if _, err := m.GetSession(ctx); err != nil {
			t.Errorf("after another login: %v", err)
		}
	})
	old := &browser{map[string]string{cookieName: carried}}
	if name, err := old.name(t, m); name != "alice" || err != nil {
		t.Errorf("the session that the client came with: got %q, %v", name, err)
	}
}
