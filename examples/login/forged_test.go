package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session/memory"
)

func TestFormsOfOtherSites(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread")
	token := v.cookie()
	for _, header := range []struct{ name, value string }{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
	} {
		v.header = http.Header{header.name: {header.value}}
		for _, path := range postRoutes {
			got := v.post(path, "user", "grace", "password", "compiler", "article", "Bread")
			if got.status != http.StatusForbidden || got.element("again") == "" {
				t.Errorf("%s with %s %s: got status %d, want 403", path, header.name, header.value, got.status)
			}
		}
	}
	v.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if home := v.get("/"); home.element("user") != "ada" || home.cart() != "Bread × 1" || v.cookie() != token {
		t.Errorf("got user %q, cart %q, want ada and one Bread with the same cookie", home.element("user"), home.cart())
	}
	if got := v.post("/cart", "article", "Bread").cart(); got != "Bread × 2" {
		t.Errorf("own form: got cart %q, want two Bread", got)
	}
}

func TestGETChangesNothing(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread")
	token := v.cookie()
	for _, path := range postRoutes[1:] {
		want := http.StatusNotFound
		if slices.Contains([]string{"/devices", "/password", "/confirm"}, path) {
			want = http.StatusOK // a form
		}
		if got := v.get(path + "?article=Bread&id=others&new=password&again=password&password=engine").status; got != want {
			t.Errorf("GET %s: got status %d, want %d", path, got, want)
		}
	}
	if got := v.get("/login?user=grace&password=compiler").element("user"); got != "" {
		t.Errorf("GET of the login form logged %q in", got)
	}
	// Nor does the query of a form count.
	if got := v.post("/login?user=grace&password=compiler").status; got != http.StatusUnauthorized {
		t.Errorf("login by query: got status %d, want 401", got)
	}
	if home := v.get("/"); home.element("user") != "ada" || home.cart() != "Bread × 1" || v.cookie() != token {
		t.Errorf("got user %q, cart %q, want ada and one Bread with the same cookie", home.element("user"), home.cart())
	}
}

// A form has to have a token, and that of the very session.
func TestFormsWithoutToken(t *testing.T) {
	site := open(t, &memory.Store{})
	v, other := visit(t, site), visit(t, site)
	other.login("ada", "engine")
	before := v.login("ada", "engine").csrf()
	v.login("ada", "engine") // again
	v.post("/cart", "article", "Bread")
	cookie := v.cookie()
	for name, token := range map[string]string{
		"none":               "",
		"no token":           "x",
		"another session's":  *other.csrf.Load(),
		"before the login":   before,
		"the session's, cut": (*v.csrf.Load())[:85],
	} {
		for _, path := range postRoutes {
			got := v.post(path, "csrf_token", token, "user", "grace", "password", "compiler", "article", "Bread",
				"id", "others", "new", "difference engine", "again", "difference engine")
			if got.status != http.StatusForbidden || got.element("again") == "" {
				t.Errorf("%s with %s: got status %d, want the 403 page", path, name, got.status)
			}
		}
	}
	if home := v.get("/"); home.element("user") != "ada" || home.cart() != "Bread × 1" || v.cookie() != cookie {
		t.Errorf("got user %q, cart %q, want ada and one Bread with the same cookie", home.element("user"), home.cart())
	}
	if got := other.get("/").element("user"); got != "ada" {
		t.Errorf("the other device: got user %q, want ada", got)
	}
	other.login("ada", "engine") // with the password as it was
}

// Every form of every page has a token, and no two pages the same.
func TestFormsHaveTokens(t *testing.T) {
	site := open(t, &memory.Store{})
	visit(t, site).login("ada", "engine") // a device to sign out
	v := visit(t, site)
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread") // to be ordered
	seen := make(map[string]bool)
	for _, page := range []string{"/", "/login", "/devices", "/password", "/confirm"} {
		got := v.get(page)
		forms := strings.Split(got.body, `<form method="post"`)[1:]
		if got.status != http.StatusOK || len(forms) == 0 {
			t.Errorf("%s: got status %d with %d forms, want 200 with some", page, got.status, len(forms))
		}
		for i, form := range forms {
			form, _, _ = strings.Cut(form, "</form>")
			if (response{body: form}).csrf() == "" {
				t.Errorf("%s: form %d has no token", page, i)
			}
		}
		if token := got.csrf(); seen[token] {
			t.Errorf("%s: the token is that of another page", page)
		} else {
			seen[token] = true
		}
	}
	v.client.Jar = nil
	if got := v.get("/login").csrf(); got != "" {
		t.Error("the form for nobody has a token, so a session was made for it")
	}
}
