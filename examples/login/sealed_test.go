package main

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session/sealed"
)

// A key is one more for SESSION_KEYS.
func key() string { return base64.StdEncoding.EncodeToString(sealed.NewKey()) }

// TestSealed runs the shop without any store, as processes that share nothing but keys.
func TestSealed(t *testing.T) {
	bin, old, next := build(t), key(), key()
	shop := func(addr string, keys ...string) *process {
		return startWith(t, bin, []string{"SESSION_STORE=sealed:", "SESSION_KEYS=" + strings.Join(keys, ",")}, addr)
	}
	p := shop("127.0.0.1:0", old)
	v := visit(t, p.site())
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread")
	shows := func(what, cart string) {
		t.Helper()
		if home := v.get("/"); home.status != http.StatusOK || home.element("user") != "ada" || home.cart() != cart {
			t.Fatalf("%s: got status %d, user %q, cart %q", what, home.status, home.element("user"), home.cart())
		}
	}
	shows("before", "Bread × 1")

	// A rolling restart of two processes, key by key, and the visitor goes back and forth.
	q := shop("127.0.0.1:0", old)
	processes := []*process{p, q}
	for _, keys := range [][]string{{old, next}, {next, old}, {next}} {
		for i := range processes {
			processes[i].terminate(t)
			processes[i] = shop(processes[i].addr, keys...)
			for _, at := range processes {
				v.site.URL = at.url
				shows("while the keys change", "Bread × 1")
			}
		}
	}
	v.post("/cart", "article", "Bread")
	shows("after it", "Bread × 2")

	// Nobody has the key of the cookie any more: the visitor logs in, and sees no error.
	processes[0].terminate(t)
	v.site.URL = shop("127.0.0.1:0", key()).url
	wantStranger(t, v.get("/"))
	v.login("ada", "engine")
	shows("logged in again", "")
}

// What a store on the server does for a site, and this one does within its process.
func TestSealedAccounts(t *testing.T) {
	keys := [][]byte{sealed.NewKey()}
	site := open(t, revocable(&sealed.Store{Keys: keys}))
	v, other := visit(t, site), visit(t, site)
	v.login("ada", "engine")
	other.login("ada", "engine")
	thief := v.thief(other.cookie())
	if got := thief.get("/").element("user"); got != "ada" {
		t.Fatalf("a copied cookie: got the user %q, want ada", got)
	}
	if got := v.get("/devices"); got.status != http.StatusOK || strings.Count(got.body, "<li>") != 1 {
		t.Errorf("devices: got status %d and %d devices, want this one", got.status, strings.Count(got.body, "<li>"))
	}
	if got := v.after("/devices", "/devices", "id", "others"); got.status != http.StatusOK {
		t.Errorf("sign out everywhere else: got status %d", got.status)
	}
	wantStranger(t, other.get("/"))
	wantStranger(t, thief.get("/"))
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("this device: got the user %q, want ada", got)
	}

	other.login("ada", "engine")
	if got := v.after("/password", "/password", "new", "the engine", "again", "the engine"); got.status != http.StatusOK {
		t.Errorf("password: got status %d", got.status)
	}
	wantStranger(t, other.get("/"))

	thief = v.thief(v.cookie())
	v.post("/logout")
	wantStranger(t, thief.get("/"))
}

// TestSealedPurpose: applications that share keys do not accept each other's cookies.
func TestSealedPurpose(t *testing.T) {
	keys := [][]byte{sealed.NewKey()}
	v := visit(t, open(t, revocable(&sealed.Store{Keys: keys, Purpose: "one"})))
	v.login("ada", "engine")
	for _, purpose := range []string{"one", "two"} {
		v.site = open(t, revocable(&sealed.Store{Keys: keys, Purpose: purpose})) // the same host, so the same cookies
		if got := v.get("/").element("user") == "ada"; got != (purpose == "one") {
			t.Errorf("%s: got %t that ada is logged in", purpose, got)
		}
	}
}

// TestConfiguration is what an operator can get wrong.
func TestConfiguration(t *testing.T) {
	bin := build(t)
	for want, env := range map[string][]string{
		"SESSION_STROE":         {"SESSION_STROE=memory:"},
		"SESSION_KEYS":          {"SESSION_STORE=sealed:"},
		"SESSION_IDLE_TIMEOUT":  {"SESSION_IDLE_TIMEOUT=30"},
		"-store":                {"SESSION_STORE=memory:"},
		"SESSION_COOKIE_SECURE": {"SESSION_COOKIE_SECURE=off"},
	} {
		var args []string
		if want == "-store" {
			args = []string{want, "redis://:hunter2@localhost"}
		}
		p := runWith(t, bin, env, slices.Concat([]string{"-addr", "127.0.0.1:0"}, args)...)
		<-p.ended
		if p.err == nil || !strings.Contains(p.out.String(), want) || strings.Contains(p.out.String(), "hunter2") {
			t.Errorf("%v: got %v, %s; want an error that names %s", env, p.err, p.out, want)
		}
	}
	env := []string{"SESSION_COOKIE_NAME=corner", "SESSION_COOKIE_SAME_SITE=strict", "SESSION_MAX_USER_SESSIONS=1", "SESSION_END_OLDEST=true"}
	p := startWith(t, bin, env, "127.0.0.1:0")
	first, second := visit(t, p.site()), visit(t, p.site())
	first.login("ada", "engine")
	second.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got := second.post("/login", "user", "ada", "password", "engine")
	cookie := got.header.Get("Set-Cookie")
	name, _, _ := strings.Cut(cookie, "=")
	_, attributes, _ := strings.Cut(cookie, ";")
	if name != "corner" || !strings.Contains(attributes, "SameSite=Strict") {
		t.Errorf("got status %d and a cookie %s;%s", got.status, name, attributes)
	}
	wantStranger(t, first.get("/"))
}
