package e2e_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

func TestCookieAttributes(t *testing.T) {
	for _, c := range []struct {
		name   string
		open   func(*testing.T, ...string) shop
		secure bool
		scheme network.CookieSourceScheme
	}{
		{"http", openShop, false, network.CookieSourceSchemeNonSecure},
		{"https", openShopHTTPS, true, network.CookieSourceSchemeSecure},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.open(t)
			// Browsers treat Domain=localhost like no Domain, but not a name below it. Such a
			// name leads to this machine too.
			port := s.url[strings.LastIndex(s.url, ":"):]
			s.url = c.name + "://shop.localhost" + port
			b := openTab(t, s)
			b.login()
			got := *b.cookie()
			if id, secret, _ := strings.Cut(got.Value, "."); id != b.text("#session") || len(secret) < 26 {
				t.Errorf("value: got %d characters, want the session's id, a dot and a secret", len(got.Value))
			}
			want := network.Cookie{
				Name:         b.shop.cookieName,
				Domain:       "shop.localhost", // a dot in front would include subdomains
				Path:         "/",
				Expires:      -1,
				Session:      true,
				HTTPOnly:     true,
				Secure:       c.secure,
				SameSite:     network.CookieSameSiteLax,
				SourceScheme: c.scheme,
			}
			// The value must not get into the log. The others do not matter.
			got.Value, got.Size, got.Priority, got.SourcePort = "", 0, "", 0
			if got != want {
				t.Errorf("stored cookie:\ngot  %+v\nwant %+v", got, want)
			}

			b.shop.url = c.name + "://below.shop.localhost" + port
			if got := b.open("/"); got != 401 {
				t.Errorf("subdomain: got status %d, want 401", got)
			}
		})
	}
}

func TestHTTPSLogin(t *testing.T) {
	b := openTab(t, openShopHTTPS(t))
	b.login()
	b.cookie() // has the default name
	b.submit("[value=Bread]")
	b.submit("#renew button")
	b.reload()
	b.wantText("#user", "ada")
	b.wantText("#cart", "Bread × 1")
	b.submit("#logout button")
	if got := b.cookies(); len(got) != 0 {
		t.Errorf("after the logout: got cookies %v, want none", names(got))
	}
	if got := b.open("/"); got != 401 {
		t.Errorf("after the logout: got status %d, want 401", got)
	}
}

func TestScriptCannotReadCookie(t *testing.T) {
	for _, open := range []func(*testing.T, ...string) shop{openShop, openShopHTTPS} {
		b := openTab(t, open(t))
		b.login()
		secret := b.cookie().Value
		// The probe shows that the script works.
		read := evaluate[string](b, `document.cookie = "probe=1"; document.cookie`)
		if strings.Contains(read, b.shop.cookieName) || strings.Contains(read, secret) {
			t.Errorf("document.cookie shows %s", b.shop.cookieName)
		}
		if !strings.Contains(read, "probe=1") {
			t.Error("document.cookie does not show a cookie that scripts may read")
		}
	}
}

// attacks are scripts that try to plant a cookie of the default name, or to remove the
// real one.
var attacks = []string{
	`document.cookie = "__Host-Http-session=evil; Secure; Path=/"`,
	`document.cookie = "__Host-Http-session=evil; Secure; Path=/; HttpOnly; SameSite=Lax"`,
	`document.cookie = "__Host-Http-session=evil; Secure; Path=/login"`,
	`document.cookie = "__Host-Http-session=evil; Secure; Path=/; Domain=localhost"`,
	`document.cookie = "__host-http-session=evil; Secure; Path=/"`,
	`document.cookie = "=__Host-Http-session=evil; Secure; Path=/"`,
	`document.cookie = "__Host-Http-session=; Secure; Path=/; Max-Age=0"`,
	`cookieStore.set("__Host-Http-session", "evil").then(() => "set", () => "refused")`,
	`cookieStore.delete("__Host-Http-session").then(() => "deleted", () => "refused")`,
}

// probe differs from the first attack only in the prefix of the name. Browsers store it,
// so the prefix is what stops the attacks.
const probe = `document.cookie = "__Host-probe=1; Secure; Path=/"`

func TestScriptCannotSetCookie(t *testing.T) {
	b := openTab(t, openShopHTTPS(t))
	b.open("/login")
	for _, attack := range attacks {
		evaluate[any](b, attack, chromedp.EvalAwaitPromise)
		if got := b.cookies(); len(got) != 0 {
			t.Fatalf("after %s: got cookies %v, want none", attack, names(got))
		}
	}
	evaluate[any](b, probe)
	if got := names(b.cookies()); len(got) != 1 || got[0] != "__Host-probe" {
		t.Errorf("probe: got cookies %v, want __Host-probe", got)
	}
	if got := b.open("/"); got != 401 {
		t.Errorf("after all attacks: got status %d, want 401", got)
	}
}

func TestScriptCannotOverwriteCookie(t *testing.T) {
	b := openTab(t, openShopHTTPS(t))
	b.login()
	before := *b.cookie()
	for _, attack := range attacks {
		evaluate[any](b, attack, chromedp.EvalAwaitPromise)
		if *b.cookie() != before { // there is no second one either
			t.Fatalf("after %s: the cookie has changed", attack)
		}
	}
	if got := b.reload(); got != 200 {
		t.Errorf("after all attacks: got status %d, want 200", got)
	}
	b.wantText("#user", "ada")
}
