package sessionaudit

import (
	"fmt"
	"net/http"
	"strings"
)

func hostileChecks() []Check {
	const shape = "check the length and the characters of an identifier before any other step, and treat a malformed one like a missing one"
	return []Check{
		{"a cookie of a megabyte is no session", "2.2.1", "R06", shape, oversize},
		{
			"two cookies of the name are no session", "2.2.1", "R19",
			"refuse both, because one of them may be an attacker's (cookie.Propagator does). " +
				"It is hardening if one of the two logs in and the name begins with __Host-, or App.Insecure is set: " +
				"no attack follows in a browser that keeps RFC 6265bis, because no other host can set such a cookie",
			duplicate,
		},
		{
			"a quoted cookie is no session", "2.2.1", "R20",
			"refuse quotes around an identifier (Cookie.Quoted; cookie.Propagator does). It is hardening if it logs in: no attack follows " +
				"in a browser that keeps RFC 6265bis, because it sends the value as the site set it; other clients can only quote an identifier that they have",
			quotedCookie,
		},
		{"malformed cookies are no session", "2.2.1", "R06", shape, malformed},
		{
			"more cookies than Go reads are no session", "2.2.1", "R40",
			"start no session for a request with more than 3000 cookies: net/http drops them all, and the visitor may have a session. " +
				"It is hardening if such a request gets a new session in place of its own: no attack follows in a browser that keeps RFC 6265bis, because it keeps far fewer cookies",
			manyCookies,
		},
	}
}

// hostile sends Cookie headers to all pages. If a page shows a user, that is a finding of
// kind k. A server error or a new session is always a failure.
func (e *env) hostile(k kind, what string, lines ...string) error {
	for _, path := range e.app.pages() {
		a, err := e.ask(path, withCookies(lines...))
		if err != nil {
			return fmt.Errorf("%w (%s)", err, what)
		}
		switch {
		case a.status >= http.StatusInternalServerError:
			return fmt.Errorf("%s is answered %d with %s", a.to, a.status, what)
		case e.user(a) != nobody:
			if err := e.judge(k, fmt.Errorf("%s logs in as user %d with %s", a.to, e.user(a), what)); err != nil {
				return err
			}
		case len(e.issued(a)) > 0:
			anyway, err := e.unaskedAt(path)
			if err != nil {
				return err
			}
			if len(anyway) == 0 { // otherwise the check of visitors reports it
				return fmt.Errorf("%s sets a new cookie %q for a request with %s", a.to, e.name, what)
			}
		}
	}
	return nil
}

func oversize(e *env) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	if err := e.hostile(failure, "a megabyte in the cookie", e.name+"="+strings.Repeat("a", e.large)); err != nil {
		return err
	}
	return e.hostile(failure, "an identifier followed by a megabyte", e.name+"="+token+strings.Repeat("a", e.large))
}

func duplicate(e *env) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	k := failure
	if e.app.Insecure || strings.HasPrefix(strings.ToLower(e.name), "__host-") {
		k = hardening
	}
	good, bad := e.name+"="+token, e.name+"="+e.forged()
	for _, lines := range [][]string{{good + "; " + bad}, {bad + "; " + good}, {good, bad}, {bad, good}, {good + "; " + good}} {
		if err := e.hostile(k, "two cookies of the name, one of them valid", lines...); err != nil {
			return err
		}
	}
	return nil
}

func quotedCookie(e *env) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	if err := e.hostile(hardening, "quotes around the identifier", e.name+`="`+token+`"`); err != nil {
		return err
	}
	// In a "cookie sandwich" the quotes enclose more than one value.
	return e.hostile(hardening, "a quote in front of the identifier and one in a later cookie", e.name+`="`+token+`; last=x"`)
}

func malformed(e *env) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	half := token[:len(token)/2]
	for _, c := range [][2]string{
		{"an empty value", ""},
		{"half an identifier", half},
		{"an identifier with an additional character", token + "A"},
		{"an identifier with a space in it", half + " " + token[len(half):]},
		{"an identifier followed by a comma", token + ","},
		{"an identifier with a percent escape", token + "%00"},
		{"an identifier with a path in front", "../" + token},
		{"an identifier twice", token + token},
		{"an identifier with a byte over 127", token + "\xff"},
		{"a letter that is not ASCII", "ïdentifier"},
		{"a path", "../../../../etc/passwd"},
		{"wildcards", strings.Repeat("*", len(token))},
		{"question marks", strings.Repeat("?", len(token))},
		{"braces", "{" + half + "}"},
		{"a quote that is not closed", `"` + half},
		{"backslashes", strings.Repeat(`\`, 8)},
		{"percent escapes of CR and LF", "%0d%0aSet-Cookie:%20x=y"},
		{"a number", "1"},
		{"a JSON object", `{"user":0}`},
		{"an SQL injection", `' OR '1'='1`},
		{"dots", strings.Repeat(".", len(token))},
		{"a tab", "a\tb"},
		{"zeros, as many as an identifier has characters", strings.Repeat("0", len(token))},
	} {
		if err := e.hostile(failure, c[0]+" in the cookie", e.name+"="+c[1]); err != nil {
			return err
		}
	}
	for _, c := range [][2]string{
		{"a name without a value", e.name},
		{"a value without a name", "=" + token},
		{"a name in another case", swapCase(e.name) + "=" + token},
		{"no name, and the cookie as its value", "=" + e.name + "=" + token},
		{"a name with a space in it", e.name + " x=" + token},
		{"nothing but semicolons", ";;;;"},
		{"a dollar before the name", "$" + e.name + "=" + token},
		{"a name with a quote in it", `"` + e.name + `"=` + token},
		{"a name after a Unicode space", "\u2000" + e.name + "=" + token},
		{"a name with a bracket in it", e.name + "[]=" + token},
	} {
		if err := e.hostile(failure, c[0], c[1]); err != nil {
			return err
		}
	}
	return nil
}

func swapCase(s string) string {
	if upper := strings.ToUpper(s); upper != s {
		return upper
	}
	return strings.ToLower(s)
}

func manyCookies(e *env) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	many := strings.Repeat("c=1; ", 3001)
	if err := e.hostile(failure, "3001 cookies of other names", many+"c=1"); err != nil {
		return err
	}
	// The site may read or ignore the session's own cookie among them, but not replace it.
	for _, path := range e.app.pages() {
		a, err := e.ask(path, withCookies(many+e.name+"="+token))
		if err != nil {
			return err
		}
		if a.status >= http.StatusInternalServerError {
			return fmt.Errorf("%s is answered %d with 3001 other cookies and the session's", a.to, a.status)
		}
		for _, value := range e.issued(a) {
			user, err := e.opens(value)
			if err != nil {
				return err
			}
			if user != 0 { // otherwise the session was renewed
				e.remark(fmt.Errorf("%s replaces the cookie %q of a request with 3001 others", a.to, e.name))
			}
		}
	}
	return nil
}
