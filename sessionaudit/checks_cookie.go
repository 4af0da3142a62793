package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The checks of this file judge every cookie of the session that the site has
// set so far; those that delete it have a check of their own.
func cookieChecks() []Check {
	return []Check{
		{
			"the cookie is Secure", "3.3.1", "R11",
			"set Secure, so that the identifier never travels in plain text (cookie.Propagator does)", isSecure,
		},
		{
			"the name of the cookie has the prefix __Host-", "3.3.3", "R12",
			"name it __Host-… or __Host-Http-…, or __Secure-… where a Domain or a Path is meant to be there (ASVS 3.3.1)", hasPrefix,
		},
		{
			"the cookie is HttpOnly", "3.3.4", "R13",
			"set HttpOnly, so that no script can read the identifier", every(func(c *http.Cookie) bool { return c.HttpOnly }, "is not HttpOnly"),
		},
		{
			"the cookie says SameSite=Lax or Strict", "3.3.2", "R14",
			"set SameSite: browsers differ in what none means, and Chrome sends such a cookie with the forms of other sites for two minutes",
			every(func(c *http.Cookie) bool {
				return c.SameSite == http.SameSiteLaxMode || c.SameSite == http.SameSiteStrictMode
			}, "has no SameSite, or None"),
		},
		{
			"the cookie is for the whole host", "3.3.3", "R12",
			"set Path=/: a path protects from nobody on the same host, and there may be two cookies of the name", every(func(c *http.Cookie) bool { return c.Path == "/" }, "has another Path than /"),
		},
		{
			"the cookie is for no other host", "3.3.3", "R12",
			"leave Domain out: with it every subdomain gets the identifier, and can set one",
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
			"replace the Set-Cookie of the same name that is in the header already (cookie.Propagator does). " +
				"It is hardening: no attack follows in a browser that keeps RFC 6265bis, because it takes the last; other clients may take the first",
			remarksOnly(once),
		},
		{
			"an identifier can hold 128 bits of chance", "7.2.3", "R02",
			"make identifiers with crypto/rand: rand.Text, or 16 bytes and more. A UUID holds 122 bits", random,
		},
	}
}

// each returns what find says of the answers so far, every finding once.
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

// every returns a check of all cookies of the session.
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
		return nil // what is wrong without Secure, its check says
	}
	shared := e.lastSet().Domain != "" || e.lastSet().Path != "/"
	if shared && (strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")) {
		return nil
	}
	return fmt.Errorf("the name %q binds no browser to anything: any subdomain can overwrite the cookie", e.name)
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

// enough identifiers show where they differ: that two hexadecimal digits are
// alike in all of them happens once in four billion times.
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
		errs = append(errs, fmt.Errorf("%d logins gave only %d identifiers", len(tokens), len(seen)))
	}
	for i, t := range seen {
		seen[i] = secret(t)
	}
	if n := bits(seen); n < 128 {
		errs = append(errs, fmt.Errorf("%d identifiers differ in what can hold %d bits at most", len(seen), int(n)))
	}
	return errors.Join(errs...)
}
