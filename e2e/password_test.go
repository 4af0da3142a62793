package e2e_test

import "testing"

const newPassword = "difference engine"

// fillPassword changes the password of ada. It confirms the old password as often as the
// shop asks: on a slow machine the login may not be fresh any more when the form arrives.
func (b *tab) fillPassword(password string) {
	b.t.Helper()
	for {
		b.open("/password")
		b.confirm("engine")
		b.wantText("h1", "Change your password")
		b.enter("[name=new]", password)
		b.enter("[name=again]", password)
		b.submit("#password button")
		if !b.asked() {
			return
		}
	}
}

// asked reports whether the shop asks for the password.
func (b *tab) asked() bool {
	b.t.Helper()
	return evaluate[bool](b, `document.querySelector("#confirm") !== null`)
}

func (b *tab) confirm(password string) {
	b.t.Helper()
	for b.asked() {
		b.enter("#confirm [name=password]", password)
		b.submit("#confirm button")
	}
}

func TestChangePassword(t *testing.T) {
	s := openShop(t, "-fresh", "3s")
	b, other := openTab(t, s), openTab(t, s)
	other.login()
	b.login()
	for b.open("/password"); !b.asked(); { // until the login is not fresh any more
		b.reload()
	}
	b.wantText("h1", "Is it you, ada?")
	before := b.cookie().Value
	b.enter("#confirm [name=password]", "compiler")
	if got := b.submit("#confirm button"); got != 401 {
		t.Errorf("wrong password: got status %d, want 401", got)
	}
	b.wantText("#problem", "That is not your password.")
	if b.cookie().Value != before {
		t.Error("wrong password: the cookie has changed")
	}

	b.fillPassword(newPassword)
	b.wantText("#flash", "Your password is changed. One other device is signed out.")
	b.wantDevices(1)
	if b.cookie().Value == before {
		t.Error("the cookie is as before, want another")
	}
	other.wantOut()

	for _, c := range []struct {
		password string
		want     int
	}{{"engine", 401}, {newPassword, 200}} {
		other.open("/login")
		if got := other.fill("ada", c.password); got != c.want {
			t.Errorf("login with %s: got status %d, want %d", c.password, got, c.want)
		}
	}
	other.wantText("#user", "ada")
}

// A form of a page from before the last login has an old token and does nothing.
func TestFormWithoutToken(t *testing.T) {
	b := openTab(t, openShop(t))
	b.login()
	for _, button := range []string{"[value=Bread]", "#renew button", "#logout button"} {
		evaluate[any](b, `document.querySelectorAll("[name=csrf_token]").forEach(field => field.remove())`)
		if got := b.submit(button); got != 403 {
			t.Errorf("%s: got status %d, want 403", button, got)
		}
		b.wantText("h1", "Please try again")
		if got := b.submit("#again"); got != 200 {
			t.Errorf("after %s: got status %d, want 200", button, got)
		}
		b.wantText("#empty", "Nothing yet.")
	}
}
