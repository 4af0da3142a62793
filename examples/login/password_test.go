package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

const longer = "difference engine"

func TestChangePassword(t *testing.T) {
	site := open(t, &memory.Store{})
	v, other, grace := visit(t, site), visit(t, site), visit(t, site)
	id := v.login("ada", "engine").element("session")
	v.post("/cart", "article", "Bread")
	other.login("ada", "engine")
	grace.login("grace", "compiler")
	copied := v.cookie()

	page := v.post("/password", "new", longer, "again", longer)
	if got, want := page.element("flash"), "Your password is changed. One other device is signed out."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if home := v.get("/"); home.element("user") != "ada" || home.element("session") != id || home.cart() != "Bread × 1" {
		t.Errorf("this device: got user %q, same session %t, cart %q, want ada, true and one Bread",
			home.element("user"), home.element("session") == id, home.cart())
	}
	wantStranger(t, other.get("/"))
	wantStranger(t, v.thief(copied).get("/")) // there is no grace
	if got := grace.get("/").element("user"); got != "grace" {
		t.Errorf("another user: got %q, want grace", got)
	}
	if got := other.post("/login", "user", "ada", "password", "engine").status; got != http.StatusUnauthorized {
		t.Errorf("login with the old password: got status %d, want 401", got)
	}
	other.login("ada", longer)
	if got := v.post("/confirm", "password", longer, "back", "/password").element("problem"); got != "" {
		t.Errorf("confirm with the new password: got %q, want nothing", got)
	}
}

func TestChangePasswordRefused(t *testing.T) {
	site := open(t, &memory.Store{})
	v, other := visit(t, site), visit(t, site)
	v.login("ada", "engine")
	other.login("ada", "engine")
	token := v.cookie()
	for _, c := range []struct{ password, again, problem string }{
		{"", "", "A password has at least 8 characters."},
		{"1234567", "1234567", "A password has at least 8 characters."},
		{"ééééééé", "ééééééé", "A password has at least 8 characters."},
		{strings.Repeat("é", 37), strings.Repeat("é", 37), "A password has at most 72 bytes."},
		{longer, "", "Those were two different passwords."},
		{longer, longer + " ", "Those were two different passwords."},
	} {
		got := v.post("/password", "new", c.password, "again", c.again)
		if got.status != http.StatusUnprocessableEntity || got.element("problem") != c.problem {
			t.Errorf("%q: got status %d, %q, want 422, %q", c.password, got.status, got.element("problem"), c.problem)
		}
	}
	if got := other.get("/").element("user"); got != "ada" || v.cookie() != token {
		t.Errorf("other device: got user %q, want ada, and the cookie as before", got)
	}
	other.login("ada", "engine")
}

// A momentStore calls f before it ends the sessions of a user.
type momentStore struct {
	session.UserStore

	f func()
}

func (st *momentStore) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	st.f()
	return st.UserStore.RemoveUserSessions(ctx, user, except...)
}

// At the moment when the other devices are signed out, nobody logs in with the
// old password any more; who did just before is signed out with them.
func TestPasswordIsChangedFirst(t *testing.T) {
	store := &momentStore{UserStore: &memory.Store{}}
	site := open(t, store)
	v, other := visit(t, site), visit(t, site)
	v.login("ada", "engine")
	store.f = func() {
		if got := other.post("/login", "user", "ada", "password", "engine").status; got != http.StatusUnauthorized {
			t.Errorf("login with the old password: got status %d, want 401", got)
		}
	}
	if got := v.post("/password", "new", longer, "again", longer).status; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
}

// Where the session ended meanwhile, or the store is down, the password stays.
func TestPasswordStays(t *testing.T) {
	captureLog(t)
	store := &sessiontest.FaultStore{Store: &memory.Store{}}
	v := visit(t, open(t, store))
	v.login("ada", "engine")
	store.Reset(func(c sessiontest.Call) sessiontest.Fault {
		if c.Op == "Login" {
			return sessiontest.FailBefore
		}
		return sessiontest.None
	})
	if got := v.post("/password", "new", longer, "again", longer).status; got != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", got)
	}
	store.Reset(nil)
	v.login("ada", "engine")
}

// Passwords are changed and checked at the same time.
func TestUsersConcurrently(t *testing.T) {
	u := newUsers()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := u.setPassword("ada", fmt.Sprintf("password %d", i)); err != nil {
				t.Error(err)
			}
			u.passwordIs("ada", "engine")
			if !u.passwordIs("grace", "compiler") {
				t.Error("the password of another user has changed")
			}
		})
	}
	all.Wait()
	var right int
	for i := range 8 {
		if u.passwordIs("ada", fmt.Sprintf("password %d", i)) {
			right++
		}
	}
	if right != 1 || u.passwordIs("ada", "engine") {
		t.Errorf("got %d passwords, and the old one %t, want one new one", right, u.passwordIs("ada", "engine"))
	}
	if newUsers().passwordIs("ada", "password 0") {
		t.Error("another site's users have changed")
	}
}
