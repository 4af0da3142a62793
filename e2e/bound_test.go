package e2e_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// A token of a bound session is valid for boundFor. The browser keeps it for keptFor,
// which is a little less and in whole seconds.
const (
	boundFor = 3 * time.Second
	keptFor  = 2 * time.Second
)

// wait waits until a condition is true.
func (b *tab) wait(what string, holds func() bool) {
	b.t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.t.Fatalf("never: %s", what)
		}
	}
}

// wantBound waits until the browser has bound its session, and returns the cookie.
func (b *tab) wantBound() *network.Cookie {
	b.t.Helper()
	var bound *network.Cookie
	b.wait("a bound cookie", func() bool {
		all := b.cookies()
		if len(all) != 1 || all[0].Name != b.shop.cookieName || all[0].Session {
			return false
		}
		bound = all[0]
		return true
	})
	return bound
}

// expire waits until the browser has dropped its cookie.
func (b *tab) expire() {
	b.t.Helper()
	b.wait("the cookie ends", func() bool { return len(b.cookies()) == 0 })
}

// plant puts the cookie of another browser into this one, without an expiry.
func (b *tab) plant(c *network.Cookie) {
	b.t.Helper()
	_, err := chromedp.CallBrowser(b.ctx, storage.SetCookies, storage.SetCookiesParams{
		BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		Cookies: []*network.CookieParam{{
			Name: c.Name, Value: c.Value, URL: b.shop.url, Path: c.Path, Secure: c.Secure, HTTPOnly: c.HTTPOnly, SameSite: c.SameSite,
		}},
	})
	if err != nil {
		b.t.Fatalf("plant a cookie: %v", err)
	}
}

// TestDeviceBound runs a shop that binds sessions to the device. The processes that serve
// the shop, one after the other, share nothing but a file.
func TestDeviceBound(t *testing.T) {
	database := filepath.Join(t.TempDir(), "sessions.db")
	t.Setenv("SESSION_STORE", "sqlite:"+database)
	t.Setenv("SESSION_DEVICE_BOUND", boundFor.String())
	address := "localhost:0"
	serve := func(t *testing.T, logs *regexp.Regexp) shop {
		t.Helper()
		s := shop{startLogin(t, logs, "-addr", address, "-cert", own.certFile, "-key", own.keyFile), "__Host-session"}
		u, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		address = u.Host // the next process is the same site
		return s
	}
	mine, theirs := openTab(t, shop{}), openTab(t, shop{})
	during := func(what string, logs *regexp.Regexp, visit func(mine, theirs *tab)) {
		t.Run(what, func(t *testing.T) {
			s := serve(t, logs)
			visit(&tab{t, s, mine.ctx}, &tab{t, s, theirs.ctx})
		})
	}

	during("a login is bound", event, func(mine, theirs *tab) {
		mine.login()
		id, visits := mine.text("#session"), mine.text("#visits")
		if left := time.Until(time.UnixMicro(int64(1e6 * mine.wantBound().Expires))); left > keptFor {
			mine.t.Errorf("the browser keeps the bound cookie for another %v, want at most %v", left, keptFor)
		}

		// The user does not notice that the cookie ends.
		mine.expire()
		if got := mine.reload(); got != 200 {
			mine.t.Errorf("after the end of the cookie: got status %d, want 200", got)
		}
		mine.wantText("#user", "ada")
		mine.wantText("#session", id)
		if mine.text("#visits") == visits {
			mine.t.Error("the reload was no visit")
		}
		mine.open("/devices")
		mine.wantText("#devices .bound", "bound to the device")

		// The copy works until its deadline and not after it. The device goes on.
		stolen := mine.wantBound()
		deadline := time.UnixMicro(int64(1e6 * stolen.Expires)).Add(boundFor - keptFor)
		theirs.plant(stolen)
		good := 0
		theirs.wait("the stolen cookie ends", func() bool {
			asked := time.Now()
			switch status := theirs.open("/"); {
			case status == 401 && asked.Before(deadline.Add(-boundFor/4)):
				theirs.t.Fatalf("the stolen cookie ends %v before its deadline", time.Until(deadline))
			case status == 200 && asked.After(deadline):
				theirs.t.Fatalf("the stolen cookie is good %v after its deadline", asked.Sub(deadline))
			case status == 200:
				good++
				return false
			}
			return true
		})
		if theirs.wantStranger(); good == 0 {
			theirs.t.Error("the stolen cookie was good for nothing, so this has shown nothing")
		}
		if got := mine.reload(); got != 200 {
			mine.t.Errorf("after the theft: got status %d, want 200", got)
		}
		mine.wantText("#user", "ada")
	})
	during("a restart", event, func(mine, theirs *tab) {
		mine.expire()
		if got := mine.open("/"); got != 200 {
			mine.t.Errorf("got status %d, want 200", got)
		}
		mine.wantText("#user", "ada")
		theirs.wantOut()
	})
	during("a store that is down", regexp.MustCompile(event.String()+`|ERROR session kind=failed cause="sql: change: context deadline exceeded"$`), func(mine, _ *tab) {
		mine.open("/")
		mine.expire()
		unlock := lock(mine.t, database)
		if got := mine.open("/"); got != 503 {
			mine.t.Errorf("while the store is down: got status %d, want 503", got)
		}
		unlock()
		mine.wait("logged in when the store is up", func() bool { return mine.open("/") == 200 })
		mine.wantText("#user", "ada")
	})
	during("sign out everywhere", event, func(mine, theirs *tab) {
		theirs.login()
		theirs.wantBound()
		mine.open("/devices")
		mine.wantDevices(2)
		if got := mine.submit(signOutOther); got != 200 {
			mine.t.Errorf("sign out everywhere else: got status %d, want 200", got)
		}
		theirs.wantOut()
		theirs.expire()
		theirs.wantOut()
		mine.open("/")
		mine.wantText("#user", "ada")
	})
	during("a logout", event, func(mine, theirs *tab) {
		mine.open("/")
		stolen := mine.wantBound()
		mine.submit("#logout button")
		mine.wantText("h1", "Log in")
		mine.wantOut()
		// A refresh in progress may have brought a cookie of the session that has ended.
		mine.wait("without a cookie after the logout", func() bool { return mine.open("/") != 200 && len(mine.cookies()) == 0 })
		theirs.plant(stolen)
		theirs.wantOut()
	})
}

// lock stops other processes from writing to an SQLite database, like a long write of one
// more process.
func lock(t *testing.T, database string) (unlock func()) {
	t.Helper()
	file, err := os.OpenFile(database+"-shm", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const writeLock = 120 // the byte that SQLite locks (https://sqlite.org/walformat.html)
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: writeLock, Len: 1}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLKW, &l); err != nil {
		t.Fatal(err)
	}
	return func() { _ = file.Close() } // which unlocks it
}
