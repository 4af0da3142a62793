package main

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
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

// once posts a form and does not follow a redirect.
func (v *visitor) once(path string, fields ...string) response {
	v.t.Helper()
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { v.client.CheckRedirect = nil }()
	return v.post(path, fields...)
}

// again is where the link to try again leads.
func (r response) again() string {
	found := regexp.MustCompile(`href="([^"]*)" id="again"`).FindStringSubmatch(r.body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// wantRefused fails the test unless a form was refused, with a link to page.
func wantRefused(t *testing.T, form string, got response, page string) {
	t.Helper()
	if got.status != http.StatusForbidden || got.again() != page || len(got.header["Set-Cookie"]) > 0 {
		t.Errorf("%s: got status %d, link %q, %d Set-Cookie, want 403, %q, none", form, got.status, got.again(), len(got.header["Set-Cookie"]), page)
	}
}

// wantSentOn fails the test unless a form leads to page and does nothing else.
func wantSentOn(t *testing.T, form string, got response, page string) {
	t.Helper()
	if location := got.header.Get("Location"); got.status != http.StatusSeeOther || location != page || len(got.header["Set-Cookie"]) > 0 {
		t.Errorf("%s: got status %d, location %q, %d Set-Cookie, want 303, %q, none", form, got.status, location, len(got.header["Set-Cookie"]), page)
	}
}

// A login form that was open before its user logged in leads to the shop. It logs
// nobody in.
func TestLoginFormSentTwice(t *testing.T) {
	store := &memory.Store{}
	v := visit(t, open(t, store))
	nobody := v.get("/login").csrf()
	v.login("ada", "engine")
	before := v.get("/login").csrf()
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread")
	cookie := v.cookie()
	if nobody != "" || before == "" {
		t.Fatalf("the login form has a token: for nobody %t, for ada %t, want false and true", nobody != "", before != "")
	}
	for name, token := range map[string]string{"a form for nobody": nobody, "a form from before": before} {
		got := v.once("/login", "csrf_token", token, "user", "ada", "password", "engine", "remember", "yes")
		wantSentOn(t, name, got, "/")
		if home := v.get("/"); home.element("user") != "ada" {
			t.Errorf("%s: got user %q, want ada", name, home.element("user"))
		}
		got = v.once("/login", "csrf_token", token, "user", "grace", "password", "compiler")
		wantRefused(t, name+" that names another user", got, "/login")
		wantRefused(t, name+" that names nobody", v.once("/login", "csrf_token", token), "/login")
		got = v.once("/login?user=ada&password=engine", "csrf_token", token)
		wantRefused(t, name+" whose query names ada", got, "/login")
		got = v.once("/password", "csrf_token", token, "user", "ada", "new", longer, "again", longer)
		wantRefused(t, name+" at another path", got, "/password")
	}
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		usual := v.header
		v.header = http.Header{name: {value}}
		for _, path := range []string{"/login", "/confirm"} {
			got := v.once(path, "csrf_token", before, "user", "ada", "password", "engine")
			if got.status != http.StatusForbidden {
				t.Errorf("%s from another site that guesses the name: got status %d, want 403", path, got.status)
			}
		}
		v.header = usual
	}
	home := v.get("/")
	if home.element("user") != "ada" || home.cart() != "Bread × 1" || v.cookie() != cookie {
		t.Errorf("got user %q, cart %q, want ada and one Bread with the same cookie", home.element("user"), home.cart())
	}
	if devices, _ := v.get("/devices").devices(); len(devices) != 1 || strings.Contains(devices[0], "stays logged in") {
		t.Errorf("got devices %q, want one that does not stay logged in", devices)
	}
	v.login("grace", "compiler") // by the form that the link leads to

	anonymous, err := store.Generate(t.Context(), "anonymous")
	if err != nil {
		t.Fatal(err)
	}
	stranger := v.thief(session.Token(anonymous))
	for _, user := range []string{"", "ada"} {
		got := stranger.once("/login", "csrf_token", before, "user", user, "password", "engine")
		wantRefused(t, "an anonymous session, user "+user, got, "/login")
	}
}

// After a confirmation the forms that were open do nothing, and a page says so.
// The page that it links has the same form, which works.
func TestFormsFromBeforeConfirmation(t *testing.T) {
	site := open(t, &memory.Store{})
	v, other := visit(t, site), visit(t, site)
	other.login("ada", "engine")
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread")
	before := v.get("/confirm?back=/password").csrf()
	v.post("/confirm", "user", "ada", "password", "engine", "back", "/password")
	cookie := v.cookie()
	forms := []struct {
		path, page string
		fields     []string
		works      func(response) bool
	}{
		{"/cart", "/", []string{"article", "Bread"}, func(r response) bool { return r.cart() == "Bread × 2" }},
		{"/order", "/", nil, func(r response) bool { return r.cart() == "" && r.element("flash") != "" }},
		{"/renew", "/", nil, func(r response) bool { return r.element("flash") == "Your browser has a new token." }},
		{"/devices", "/devices", []string{"id", "others"}, func(r response) bool { return r.element("flash") == signedOut(1) }},
		{
			"/confirm", "/confirm?back=%2Fpassword",
			[]string{"password", "engine", "back", "/password"},
			func(r response) bool { return strings.Contains(r.body, `id="password"`) },
		},
		{
			"/password", "/password",
			[]string{"user", "ada", "new", longer, "again", longer},
			func(r response) bool { return strings.HasPrefix(r.element("flash"), "Your password is changed.") },
		},
		{"/logout", "/", nil, func(r response) bool { return strings.Contains(r.body, `id="login"`) }},
	}
	for _, f := range forms {
		got := v.once(f.path, append(f.fields, "csrf_token", before)...)
		wantRefused(t, f.path, got, f.page)
		if got.element("again") == "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got link %q, Cache-Control %q, want a text and no-store", f.path, got.element("again"), got.header.Get("Cache-Control"))
		}
	}
	got := v.once("/confirm", "csrf_token", before, "user", "ada", "password", "engine", "back", "/devices")
	wantSentOn(t, "the confirmation once more", got, "/devices")
	got = v.once("/confirm", "csrf_token", before, "user", "grace", "password", "compiler", "back", "/devices")
	wantRefused(t, "the confirmation of another user", got, "/confirm?back=%2Fdevices")
	got = v.once("/confirm", "csrf_token", before, "user", "ada", "password", "engine", "back", "https://evil.example/")
	wantSentOn(t, "a confirmation that leads astray", got, "/")
	if home := v.get("/"); home.element("user") != "ada" || home.cart() != "Bread × 1" || v.cookie() != cookie {
		t.Errorf("got user %q, cart %q, want ada and one Bread with the same cookie", home.element("user"), home.cart())
	}
	if got := other.get("/").element("user"); got != "ada" {
		t.Errorf("the other device: got user %q, want ada", got)
	}
	for _, f := range forms {
		if page := v.get(f.page); page.status != http.StatusOK || page.csrf() == "" {
			t.Errorf("%s: got status %d, want 200 with a form", f.page, page.status)
		}
		if got := v.post(f.path, f.fields...); !f.works(got) {
			t.Errorf("%s from the page anew: got status %d, %q, want that it works", f.path, got.status, got.element("flash"))
		}
	}
}

// A form over the limit is no forgery, no failure of the shop and no wrong
// password, and does nothing.
func TestFormsTooLarge(t *testing.T) {
	logged := captureLog(t)
	v := visit(t, open(t, &memory.Store{}))
	large := []string{"user", "ada", "password", "engine", "article", "Bread", "id", "others", "more", strings.Repeat("x", 8<<10)}
	check := func(who, path string) {
		t.Helper()
		got := v.once(path, large...)
		if got.status != http.StatusRequestEntityTooLarge || got.again() == "" || len(got.header["Set-Cookie"]) > 0 {
			t.Errorf("%s of %s: got status %d, link %q, %d Set-Cookie, want 413 with a link", path, who, got.status, got.again(), len(got.header["Set-Cookie"]))
		}
	}
	check("nobody", "/login")
	v.login("ada", "engine")
	logged.Reset()
	for _, path := range postRoutes {
		check("ada", path)
	}
	if logged.Len() > 0 {
		t.Errorf("got the log %q, want none", logged)
	}
	if home := v.get("/"); home.element("user") != "ada" || home.cart() != "" {
		t.Errorf("got user %q, cart %q, want ada and no cart", home.element("user"), home.cart())
	}
}
