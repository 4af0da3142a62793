package e2e_test

import (
	"path/filepath"
	"testing"
)

// TestFile runs a shop whose sessions are in a file. The processes that serve the shop,
// one after the other, share nothing else.
func TestFile(t *testing.T) {
	t.Setenv("SESSION_STORE", "sqlite:"+filepath.Join(t.TempDir(), "sessions.db"))
	browsing := openTab(t, shop{cookieName: "session"})
	during := func(what string, visit func(b *tab)) {
		t.Run(what, func(t *testing.T) {
			visit(&tab{t, openShop(t), browsing.ctx})
		})
	}
	during("log in", func(b *tab) {
		b.login()
		b.submit("[value=Bread]")
		b.wantText("#cart", "Bread × 1")
	})
	during("a restart", func(b *tab) {
		if got := b.open("/"); got != 200 {
			t.Errorf("got status %d, want 200", got)
		}
		b.wantText("#user", "ada")
		b.wantText("#cart", "Bread × 1")
		b.submit("#order button")
		b.submit("#logout button")
		b.wantText("h1", "Log in")
	})
	during("a restart after the logout", func(b *tab) {
		if got := b.open("/"); got != 401 {
			t.Errorf("got status %d, want 401", got)
		}
		b.wantStranger()
	})
}
