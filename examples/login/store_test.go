package main

import (
	"bytes"
	"log"
	"net/http"
	"slices"
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

// Whatever call of a day in the shop fails, before or after the store did its
// work: the visitor sees the 503 page, and doing the same again goes on.
func TestStoreFailsAtAnyCall(t *testing.T) {
	captureLog(t)
	steps := []struct {
		name string
		do   func(*visitor) response
	}{
		{"login", func(v *visitor) response { return v.post("/login", "user", "ada", "password", "engine") }},
		{"home", func(v *visitor) response { return v.get("/") }},
		{"cart", func(v *visitor) response { return v.post("/cart", "article", "Bread") }},
		{"renew", func(v *visitor) response { return v.post("/renew") }},
		{"order", func(v *visitor) response { return v.post("/order") }},
		{"login again", func(v *visitor) response { return v.post("/login", "user", "ada", "password", "engine") }},
		{"logout", func(v *visitor) response { return v.post("/logout") }},
	}
	// day returns the step at which the nth call failed.
	day := func(nth int, fault sessiontest.Fault) (failed string) {
		store := &sessiontest.FaultStore{Store: &memory.Store{}, Plan: func(c sessiontest.Call) sessiontest.Fault {
			if c.N == nth {
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
				got = step.do(v).status
				// Once the session is dead, logging out again finds nobody.
				if step.name == "logout" && fault == sessiontest.FailAfter && got == http.StatusUnauthorized {
					got = http.StatusOK
				}
			}
			if got != http.StatusOK {
				t.Errorf("call %d fails (%d), %s: got status %d, want 200", nth, fault, step.name, got)
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
	store := &sessiontest.FaultStore{Store: &memory.Store{MaxSessions: 2}}
	v := visit(t, open(t, store))
	fail := func(ops ...string) {
		store.Reset(func(c sessiontest.Call) sessiontest.Fault {
			if slices.Contains(ops, c.Op) {
				return sessiontest.FailBefore
			}
			return sessiontest.None
		})
	}
	login := func() {
		t.Helper()
		if got := v.post("/login", "user", "ada", "password", "engine").status; got != http.StatusServiceUnavailable {
			t.Errorf("login: got status %d, want 503", got)
		}
	}

	fail("Session.Set")
	login()
	if got := len(v.client.Jar.Cookies(v.url())); got != 0 {
		t.Errorf("got %d cookies, want none", got)
	}

	fail("Session.Set", "Remove") // and a session is left that nobody has the cookie of
	login()
	if got := len(v.client.Jar.Cookies(v.url())); got != 0 {
		t.Errorf("got %d cookies, want none", got)
	}
	fail()
	wantStranger(t, v.get("/"))
	v.login("ada", "engine") // the store would be full if the first were still there

	fail("Session.Set", "Remove") // logging in again fails, and who was logged in stays so
	login()
	fail()
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("user: got %q, want ada", got)
	}
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
