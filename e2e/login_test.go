package e2e_test

import "testing"

func TestLogin(t *testing.T) {
	b := openTab(t, openShop(t))
	if got := b.open("/"); got != 401 {
		t.Errorf("before the login: got status %d, want 401", got)
	}
	b.wantStranger()
	if got := b.fill("ada", "engine"); got != 200 {
		t.Errorf("login: got status %d, want 200", got)
	}
	b.wantText("#user", "ada")
	b.wantText("#visits", "1")
}

func TestPageForUsers(t *testing.T) {
	b := openTab(t, openShop(t))
	if got := b.open("/devices"); got != 401 {
		t.Errorf("before the login: got status %d, want 401", got)
	}
	b.wantText("#user", "")
	if got := b.submit("#to-login"); got != 200 {
		t.Errorf("login form: got status %d, want 200", got)
	}
	b.fill("ada", "engine")
	b.wantText("#user", "ada")
}

func TestReload(t *testing.T) {
	b := openTab(t, openShop(t))
	b.login()
	for _, visits := range []string{"2", "3"} {
		if got := b.reload(); got != 200 {
			t.Errorf("reload: got status %d, want 200", got)
		}
		b.wantText("#user", "ada")
		b.wantText("#visits", visits)
	}
}

func TestSecondContext(t *testing.T) {
	s := openShop(t)
	first, second := openTab(t, s), openTab(t, s)
	first.login()

	if got := second.open("/"); got != 401 {
		t.Errorf("second context: got status %d, want 401", got)
	}
	second.wantStranger()
	if got := second.cookies(); len(got) != 0 {
		t.Errorf("second context: got cookies %v, want none", names(got))
	}

	second.open("/login")
	second.fill("grace", "compiler")
	second.wantText("#user", "grace")
	first.reload()
	first.wantText("#user", "ada")
}

func TestCartAndFlash(t *testing.T) {
	b := openTab(t, openShop(t))
	b.login()
	b.wantText("#empty", "Nothing yet.")

	b.submit("[value=Bread]")
	b.wantText("#flash", "Bread: now in your cart.")
	b.submit("[value=Apples]")
	b.wantText("#flash", "Apples: now in your cart.")
	b.submit("[value=Bread]")
	b.wantText("#cart", "Apples × 1 Bread × 2")

	b.reload() // does not show the message or send the form again
	b.wantText("#flash", "")
	b.wantText("#cart", "Apples × 1 Bread × 2")

	b.submit("#order button")
	b.wantText("#flash", "Thank you! Your order is on its way.")
	b.wantText("#cart", "")
	b.reload()
	b.wantText("#flash", "")
	b.wantText("#empty", "Nothing yet.")
}

func TestRenew(t *testing.T) {
	b := openTab(t, openShop(t))
	b.login()
	b.submit("[value=Coffee]")
	id, before := b.text("#session"), b.cookie().Value

	for range 2 {
		if got := b.submit("#renew button"); got != 200 {
			t.Fatalf("renew: got status %d, want 200", got)
		}
		b.wantText("#flash", "Your browser has a new token.")
		b.wantText("#user", "ada")
		b.wantText("#cart", "Coffee × 1")
		b.wantText("#session", id)
		after := b.cookie().Value
		if after == before {
			t.Error("the cookie is as before, want another")
		}
		before = after
	}
	b.reload()
	b.wantText("#user", "ada")
}

func TestLogout(t *testing.T) {
	b := openTab(t, openShop(t))
	b.login()
	if got := b.submit("#logout button"); got != 200 {
		t.Errorf("logout: got status %d, want 200", got)
	}
	b.wantText("h1", "Log in")
	if got := b.cookies(); len(got) != 0 {
		t.Errorf("after the logout: got cookies %v, want none", names(got))
	}
	if got := b.open("/"); got != 401 {
		t.Errorf("after the logout: got status %d, want 401", got)
	}
	b.wantStranger()
}

func TestBackAfterLogout(t *testing.T) {
	b := openTab(t, openShop(t))
	b.login()
	b.submit("[value=Bread]")
	b.wantText("#cart", "Bread × 1")
	b.submit("#logout button")
	b.wantText("h1", "Log in")

	// NavigateBack would wait for a page to load, but a page from the cache does not load.
	// The timer lets this script return before the navigation begins.
	evaluate[any](b, `setTimeout(() => history.back())`)
	b.eventually(`location.pathname === "/" && document.readyState === "complete"`)
	b.wantStranger()
}

func TestWrongPassword(t *testing.T) {
	b := openTab(t, openShop(t))
	for _, c := range []struct{ user, password string }{
		{"ada", "compiler"}, // of the other user
		{"eve", "engine"},
	} {
		b.open("/login")
		if got := b.fill(c.user, c.password); got != 401 {
			t.Errorf("%s: got status %d, want 401", c.user, got)
		}
		b.wantText("#problem", "That user name and password do not match.")
		if got := b.cookies(); len(got) != 0 {
			t.Errorf("%s: got cookies %v, want none", c.user, names(got))
		}
		if got := b.open("/"); got != 401 {
			t.Errorf("%s: got status %d, want 401", c.user, got)
		}
		b.wantStranger()
	}
}
