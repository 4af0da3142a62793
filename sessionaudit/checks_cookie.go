package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The checks of this file read every session cookie that the site has set so far. Another
// check reads the cookies that delete it.
func cookieChecks() []Check {
	return []Check{
		{
			"the cookie is Secure", "3.3.1", "R11",
			"set Secure, so that the identifier never travels in plain text (cookie.Propagator does)", isSecure,
		},
		{
			"the name of the cookie has the prefix __Host-", "3.3.3", "R12",
			"name it __Host-… or __Host-Http-…, or __Secure-… if it needs a Domain or a Path (ASVS 3.3.1)", hasPrefix,
		},
		{
			"the cookie is HttpOnly", "3.3.4", "R13",
			"set HttpOnly, so that no script can read the identifier", every(func(c *http.Cookie) bool { return c.HttpOnly }, "is not HttpOnly"),
		},
		{
			"the cookie says SameSite=Lax or Strict", "3.3.2", "R14",
			"set SameSite=Lax or Strict: without SameSite browsers differ, and Chrome sends the cookie with forms of other sites for two minutes",
			every(func(c *http.Cookie) bool {
				return c.SameSite == http.SameSiteLaxMode || c.SameSite == http.SameSiteStrictMode
			}, "has no SameSite, or SameSite=None"),
		},
		{
			"the cookie is for the whole host", "3.3.3", "R12",
			"set Path=/: another Path does not protect from other pages of the host, and allows two cookies of the name",
			every(func(c *http.Cookie) bool { return c.Path == "/" }, "has another Path than /"),
		},
		{
			"the cookie is for no other host", "3.3.3", "R12",
			"set no Domain: with it every subdomain gets the identifier and can set one",
			every(func(c *http.Cookie) bool { return c.Domain == "" }, "has a Domain"),
		},
		{
			"the cookie lives for 400 days at most", "", "R16",
			"set no Max-Age, or one of at most 34560000 (400 days), and end the session on the server. " +
				"It is hardening: no attack follows in a browser that keeps RFC 6265bis, because it forgets the cookie after 400 days",
			remarksOnly(every(shortLived, "lives for over 400 days")),
		},
		{
			"a response sets the cookie once", "", "R17",
			"replace an earlier Set-Cookie of the same name in the response (cookie.Propagator does). " +
				"It is hardening: no attack follows in a browser that keeps RFC 6265bis, because it takes the last one; other clients may take the first",
			remarksOnly(once),
		},
		{
			"an identifier can hold 128 bits of entropy", "7.2.3", "R02",
			"make identifiers with crypto/rand: rand.Text, or at least 16 random bytes; a random UUID has only 122 bits", random,
		},
	}
}

// each calls find for all answers so far and returns each finding once.
func (e *env) each(find func(a answer) string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	var found []string
	for _, a := range e.seen {
		if text := find(a); text != "" && !slices.Contains(found, text) {
			found = append(found, text)
			errs = append(errs, errors.New(text))
		}
	}
	return errors.Join(errs...)
}

// every returns a check that all session cookies are good.
func every(good func(c *http.Cookie) bool, not string) func(e *env) error {
	return func(e *env) error {
		return e.each(func(a answer) string {
			for _, c := range a.cookies(e.name) {
				if !deletes(c) && !good(c) {
					return fmt.Sprintf("the cookie %q that %s sets %s", e.name, a.to, not)
				}
			}
			return ""
		})
	}
}

func isSecure(e *env) error {
	if e.app.Insecure {
		return notChecked("App.Insecure")
	}
	return every(func(c *http.Cookie) bool { return c.Secure }, "is not Secure")(e)
}

func hasPrefix(e *env) error {
	if e.app.Insecure {
		return notChecked("App.Insecure")
	}
	name := strings.ToLower(e.name)
	if strings.HasPrefix(name, "__host-") || !e.lastSet().Secure {
		return nil // the check of Secure reports a cookie without it
	}
	shared := e.lastSet().Domain != "" || e.lastSet().Path != "/"
	if shared && (strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")) {
		return nil
	}
	return fmt.Errorf("the name %q has no prefix that browsers enforce: any subdomain can overwrite the cookie", e.name)
}

func shortLived(c *http.Cookie) bool {
	if c.MaxAge != 0 {
		return c.MaxAge <= int(maxLifetime/time.Second)
	}
	return !c.Expires.After(time.Now().Add(maxLifetime))
}

func once(e *env) error {
	return e.each(func(a answer) string {
		if n := len(a.cookies(e.name)); n > 1 {
			return fmt.Sprintf("%s sets the cookie %q %d times in one response", a.to, e.name, n)
		}
		return ""
	})
}

// enough identifiers show all positions at which they differ. That a random hexadecimal
// digit is the same in all of them happens once in four billion times.
const enough = 9

func random(e *env) error {
	for len(e.logins) < enough {
		if _, err := e.login(e.browser(), 0); err != nil {
			return err
		}
		e.retire()
	}
	tokens := e.logins
	seen := slices.Compact(slices.Sorted(slices.Values(tokens)))
	var errs []error
	if len(seen) < len(tokens) {
		errs = append(errs, fmt.Errorf("%d logins gave only %d different identifiers", len(tokens), len(seen)))
	}
	for i, t := range seen {
		seen[i] = secret(t)
	}
	if n := bits(seen); n < 128 {
		errs = append(errs, fmt.Errorf("the part in which %d identifiers differ can hold %d bits at most, want 128", len(seen), int(n)))
	}
	return errors.Join(errs...)
}
