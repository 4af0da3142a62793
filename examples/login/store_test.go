package main

import (
	"bytes"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// captureLog returns what the test logs. Tests that use it do not run in
// parallel.
func captureLog(t *testing.T) *bytes.Buffer {
	t.Helper()
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(before) })
	return &logged
}

func TestStoreDown(t *testing.T) {
	logged := captureLog(t)
	store := &sessiontest.FaultStore{Store: &memory.Store{}}
	v := visit(t, open(t, store))
	v.login("ada", "engine")
	token := v.cookie()

	store.Reset(func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailBefore })
	pages := []response{v.get("/"), v.post("/login", "user", "ada", "password", "engine")}
	for _, path := range postRoutes[1:] {
		pages = append(pages, v.post(path))
	}
	pages = append(pages, visit(t, v.site).post("/login", "user", "ada", "password", "engine"))
	for i, page := range pages {
		if page.status != http.StatusServiceUnavailable || !strings.Contains(page.body, `id="again"`) {
			t.Errorf("page %d: got status %d, want the 503 page", i, page.status)
		}
		if got := page.header["Set-Cookie"]; len(got) > 0 {
			t.Errorf("page %d: got %d Set-Cookie, want none", i, len(got))
		}
	}

	store.Reset(nil)
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("user when the store is back: got %q, want ada", got)
	}
	_, secret, _ := strings.Cut(token, ".")
	if !strings.Contains(logged.String(), sessiontest.ErrFault.Error()) {
		t.Errorf("log: got %q, want the cause", logged)
	}
	if strings.Contains(logged.String(), secret) {
		t.Error("a token is in the log")
	}
}

// The log tells what happened, and no token.
func TestEvents(t *testing.T) {
	logged := captureLog(t)
	site := open(t, &memory.Store{})
	v, other := visit(t, site), visit(t, site)
	other.login("ada", "engine")
	v.login("ada", "engine")
	tokens := []string{v.cookie(), other.cookie()}
	v.post("/renew")
	v.post("/confirm", "password", "engine")
	tokens = append(tokens, v.cookie())
	v.post("/cart", "csrf_token", "x", "article", "Bread")
	v.get("/")
	v.post("/devices", "id", "others")
	other.get("/")
	v.post("/logout")
	text := logged.String()
	for _, want := range []string{
		"INFO session kind=login session=", "INFO session kind=rotated ", "INFO session kind=reauthenticated ",
		"WARN session kind=forged ", "INFO session kind=revoked user=ada count=1", "WARN session kind=unknown ", "INFO session kind=removed ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not have %q:\n%s", want, text)
		}
	}
	for _, token := range tokens {
		if _, secret, _ := strings.Cut(token, "."); strings.Contains(text, secret) {
			t.Error("a token is in the log")
		}
	}
}

// after loads a page and then sends a form, if that can be.
func (v *visitor) after(page, path string, fields ...string) response {
	v.t.Helper()
	if got := v.get(page); got.status != http.StatusOK {
		return got
	}
	return v.post(path, fields...)
}

// Whatever call of a day in the shop fails, before or after the store did its
// work: the visitor sees the 503 page, and doing the same again goes on.
func TestStoreFailsAtAnyCall(t *testing.T) {
	captureLog(t)
	login := func(v *visitor) response { return v.post("/login", "user", "ada", "password", "engine") }
	steps := []struct {
		name string
		do   func(*visitor) response
	}{
		{"login", login},
		{"home", func(v *visitor) response { return v.get("/") }},
		{"cart", func(v *visitor) response { return v.post("/cart", "article", "Bread") }},
		{"renew", func(v *visitor) response { return v.post("/renew") }},
		{"order", func(v *visitor) response { return v.post("/order") }},
		{"sign out others", func(v *visitor) response { return v.after("/devices", "/devices", "id", "others") }},
		{"confirm", func(v *visitor) response { return v.after("/confirm?back=/password", "/confirm", "password", "engine") }},
		{"change password", func(v *visitor) response {
			return v.after("/password", "/password", "new", "the engine", "again", "the engine")
		}},
		{"login again", func(v *visitor) response { return v.post("/login", "user", "ada", "password", "the engine") }},
		{"logout", func(v *visitor) response { return v.post("/logout") }},
	}
	// day returns the step at which the nth call failed.
	day := func(nth int, fault sessiontest.Fault) (failed string) {
		var op string // that failed
		store := &sessiontest.FaultStore{Store: &memory.Store{}, Plan: func(c sessiontest.Call) sessiontest.Fault {
			if c.N == nth {
				op = c.Op
				return fault
			}
			return sessiontest.None
		}}
		v := visit(t, open(t, store))
		defer v.site.Close()
		for _, step := range steps {
			got := step.do(v).status
			if got == http.StatusServiceUnavailable && failed == "" {
				failed = step.name
				home := v.get("/").status // as the page proposes
				// A login that was done and not told has let the old token die.
				if home == http.StatusUnauthorized && op == "Login" && fault == sessiontest.FailAfter {
					login(v)
				}
				got = step.do(v).status
				// Once the session is dead, logging out again finds nobody.
				if step.name == "logout" && fault == sessiontest.FailAfter && got == http.StatusUnauthorized {
					got = http.StatusOK
				}
			}
			if got != http.StatusOK {
				t.Errorf("call %d (%s) fails (%d), %s: got status %d, want 200", nth, op, fault, step.name, got)
			}
		}
		wantStranger(t, v.get("/"))
		if failed == "" && len(store.Calls()) >= nth {
			t.Errorf("call %d (%s) fails (%d): nobody was told", nth, store.Calls()[nth-1].Op, fault)
		}
		return failed
	}
	for _, fault := range []sessiontest.Fault{sessiontest.FailBefore, sessiontest.FailAfter} {
		seen := make(map[string]bool)
		for nth := 1; ; nth++ {
			failed := day(nth, fault)
			if failed == "" {
				break
			}
			seen[failed] = true
		}
		if len(seen) != len(steps) {
			t.Errorf("fault %d: only these steps failed: %v", fault, seen)
		}
	}
}

// Nobody is logged in by halves.
func TestStoreFailsDuringLogin(t *testing.T) {
	captureLog(t)
	// Room for ada and grace while one follows the other, and for the session of a login
	// whose answer got lost: nobody has its token, and it ends by itself.
	store := &sessiontest.FaultStore{Store: &memory.Store{MaxSessions: 3}}
	v := visit(t, open(t, store))
	// login tries to, while a method of the store fails.
	login := func(user, password, method string, fault sessiontest.Fault) {
		t.Helper()
		store.Reset(func(c sessiontest.Call) sessiontest.Fault {
			if c.Op == method {
				return fault
			}
			return sessiontest.None
		})
		defer store.Reset(nil)
		got := v.post("/login", "user", user, "password", password)
		if got.status != http.StatusServiceUnavailable || len(got.header["Set-Cookie"]) > 0 {
			t.Errorf("%s: got status %d, %d cookies, want 503 and none", method, got.status, len(got.header["Set-Cookie"]))
		}
	}
	for range 3 { // the store would be full if they left anything
		login("ada", "engine", "Login", sessiontest.FailBefore)
		wantStranger(t, v.get("/"))
	}
	login("ada", "engine", "Login", sessiontest.FailAfter)
	wantStranger(t, v.get("/"))
	for range 3 { // the store would be full if those from before were still there
		v.login("ada", "engine")
		v.login("grace", "compiler")
	}

	login("grace", "compiler", "Login", sessiontest.FailBefore)
	login("ada", "engine", "Login", sessiontest.FailBefore)
	login("ada", "engine", "Remove", sessiontest.FailBefore) // hers does not begin while grace's has not ended
	if got := v.get("/").element("user"); got != "grace" {
		t.Errorf("user: got %q, want grace", got)
	}
	login("grace", "compiler", "Login", sessiontest.FailAfter) // her browser was not told the new token
	wantStranger(t, v.get("/"))
}

// MaxSessions is reached.
func TestStoreFull(t *testing.T) {
	captureLog(t)
	site := open(t, &memory.Store{MaxSessions: 1})
	first, second := visit(t, site), visit(t, site)
	first.login("ada", "engine")
	if got := second.post("/login", "user", "grace", "password", "compiler").status; got != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", got)
	}
	if got := first.get("/").element("user"); got != "ada" {
		t.Errorf("user: got %q, want ada", got)
	}
}
