package e2e_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	thisDevice   = "#devices .badge"
	signOut      = "#devices button"
	signOutOther = "#others button"
)

// wantDevices fails the test unless the page lists this number of devices.
func (b *tab) wantDevices(want int) {
	b.t.Helper()
	if got := evaluate[int](b, `document.querySelectorAll("#devices > li").length`); got != want {
		b.t.Errorf("devices: got %d, want %d", got, want)
	}
	b.wantText(thisDevice, "This device")
	if got := evaluate[int](b, `document.querySelectorAll("`+signOut+`").length`); got != want-1 {
		b.t.Errorf("devices to sign out: got %d, want %d", got, want-1)
	}
}

// wantOut fails the test unless the next page of the tab is the login form.
func (b *tab) wantOut() {
	b.t.Helper()
	if got := b.open("/"); got != 401 {
		b.t.Errorf("signed out: got status %d, want 401", got)
	}
	b.wantStranger()
}

func TestSignOutOne(t *testing.T) {
	s := openShop(t)
	first, second, grace := openTab(t, s), openTab(t, s), openTab(t, s)
	first.login()
	second.login()
	grace.open("/login")
	grace.fill("grace", "compiler")

	first.open("/devices")
	first.wantDevices(2) // none of another user
	if got := first.submit(signOut); got != 200 {
		t.Errorf("sign out: got status %d, want 200", got)
	}
	first.wantText("#flash", "That device is signed out.")
	first.wantDevices(1)
	second.wantOut()
	first.open("/")
	first.wantText("#user", "ada")
	grace.reload()
	grace.wantText("#user", "grace")
}

func TestSignOutEverywhereElse(t *testing.T) {
	s := openShop(t)
	tabs := []*tab{openTab(t, s), openTab(t, s), openTab(t, s)}
	for _, b := range tabs {
		b.login()
	}
	tabs[0].open("/devices")
	tabs[0].wantDevices(3)
	if got := tabs[0].submit(signOutOther); got != 200 {
		t.Errorf("sign out everywhere else: got status %d, want 200", got)
	}
	tabs[0].wantText("#flash", "2 other devices are signed out.")
	tabs[0].wantDevices(1)
	tabs[1].wantOut()
	tabs[2].wantOut()

	tabs[1].login() // may log in again
	tabs[0].reload()
	tabs[0].wantText("#flash", "")
	tabs[0].wantDevices(2)
}

// TestRestart closes a browser and opens it again.
func TestRestart(t *testing.T) {
	s := openShop(t)
	profile := filepath.Join(t.TempDir(), "profile")
	visit := func(f func(*tab)) {
		t.Helper()
		browser, stop, err := startBrowser(profile)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		f(openTabOf(t, s, browser))
		closing, cancel := context.WithTimeout(browser, startLimit)
		defer cancel()
		if err := chromedp.Cancel(closing); err != nil { // as a user closes it, so that it saves its cookies
			t.Fatal(err)
		}
	}
	visit((*tab).login)
	visit(func(b *tab) {
		if got := b.open("/"); got != 401 {
			t.Errorf("not remembered: got status %d, want 401", got)
		}
		b.open("/login")
		b.check("[name=remember]")
		b.fill("ada", "engine")
		b.submit("[value=Bread]")
		c := b.cookie()
		if days := time.Until(time.Unix(int64(c.Expires), 0)).Hours() / 24; c.Session || days < 89 || days > 91 {
			t.Errorf("remembered: got a cookie for %.1f days, want 90", days)
		}
	})
	visit(func(b *tab) {
		if got := b.open("/"); got != 200 {
			t.Errorf("remembered: got status %d, want 200", got)
		}
		b.wantText("#user", "ada")
		b.wantText("#cart", "Bread × 1")
		b.submit("#logout button")
	})
	visit((*tab).wantOut)
}
