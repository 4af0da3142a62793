package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
)

// sealedKey returns a new key for SESSION_KEYS.
func sealedKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// TestSealed runs a shop without a store: only the browser has the session. The processes
// that serve the shop, one after the other, share nothing but keys.
func TestSealed(t *testing.T) {
	t.Setenv("SESSION_STORE", "sealed:")
	browsing := openTab(t, shop{cookieName: "session"})
	// during runs a process with these keys for the time of a visit. Every process has
	// another port, which cookies ignore.
	during := func(what string, keys []string, visit func(b *tab)) {
		t.Run(what, func(t *testing.T) {
			t.Setenv("SESSION_KEYS", strings.Join(keys, ","))
			visit(&tab{t, openShop(t), browsing.ctx})
		})
	}
	stays := func(b *tab) {
		if got := b.open("/"); got != 200 {
			t.Errorf("got status %d, want 200", got)
		}
		b.wantText("#user", "ada")
		b.wantText("#cart", "Bread × 1")
	}
	old, next := sealedKey(), sealedKey()
	during("log in", []string{old}, func(b *tab) {
		b.login()
		b.submit("[value=Bread]")
		b.wantText("#flash", "Bread: now in your cart.")
		b.wantText("#cart", "Bread × 1")
		b.reload()
		b.wantText("#flash", "")
	})
	during("a restart", []string{old}, stays)
	during("a new key in front", []string{next, old}, stays)
	during("the old key gone", []string{next}, stays)
	during("a removed key", []string{sealedKey()}, func(b *tab) {
		if got := b.open("/"); got != 401 {
			t.Errorf("got status %d, want 401", got)
		}
		b.wantStranger()
		b.login()
		b.submit("[value=Bread]")
		b.submit("#order button")
		b.submit("#logout button")
		b.wantText("h1", "Log in")
		if got := b.cookies(); len(got) != 0 {
			t.Errorf("after the logout: got cookies %v, want none", names(got))
		}
	})
}
