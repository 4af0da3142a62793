package sessionaudit

import (
	"fmt"
	"net/http"
	"strings"
)

func hostileChecks() []Check {
	const shape = "check the length and the characters of an identifier before anything else; what is not in shape is no identifier"
	return []Check{
		{"a cookie of a megabyte is no session", "2.2.1", "R06", shape, oversize},
		{
			"two cookies of the name are no session", "2.2.1", "R19",
			"refuse both: one of them was put there by somebody else (cookie.Propagator does). " +
				"It is hardening where the name begins with __Host-, or is not judged (App.Insecure), and one of the two logs in: " +
				"no attack follows in a browser that keeps RFC 6265bis, because no other host can set such a cookie",
			duplicate,
		},
		{
			"a quoted cookie is no session", "2.2.1", "R20",
			"refuse quotes around an identifier (Cookie.Quoted; cookie.Propagator does). It is hardening where it logs in: no attack follows " +
				"in a browser that keeps RFC 6265bis, because it sends the value as the site set it; other clients add quotes only to what they know",
			quotedCookie,
		},
		{"malformed cookies are no session", "2.2.1", "R06", shape, malformed},
		{
			"more cookies than Go reads are no session", "2.2.1", "R40",
			"do not take a request whose cookies net/http drops (over 3000) for a new visitor who needs a session. " +
				"It is hardening where the session of such a request is replaced: no attack follows in a browser that keeps RFC 6265bis, because it removes excess cookies, far below 3000",
			manyCookies,
		},
	}
}

// hostile sends lines of cookies to all pages. A page of a user is a failure, or
// only hardening; a server error and a new session always are failures.
func (e *env) hostile(k kind, what string, lines ...string) error {
	for _, path := range e.app.pages() {
		a, err := e.ask(path, carrying(lines...))
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
		case len(e.gives(a)) > 0:
			anyway, err := e.unaskedAt(path)
			if err != nil {
				return err
			}
			if len(anyway) == 0 { // else that check says it
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
	return e.hostile(failure, "an identifier and a megabyte behind it", e.name+"="+token+strings.Repeat("a", e.large))
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
		if err := e.hostile(k, "two cookies of the name, one of them good", lines...); err != nil {
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
	// A "cookie sandwich": what stands between the quotes is not one value.
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
		{"an identifier with a character more", token + "A"},
		{"an identifier with a space in it", half + " " + token[len(half):]},
		{"an identifier with a comma behind it", token + ","},
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
		{"an object", `{"user":0}`},
		{"a statement of SQL", `' OR '1'='1`},
		{"dots", strings.Repeat(".", len(token))},
		{"a tab", "a\tb"},
		{"an identifier of zeros, as long as one", strings.Repeat("0", len(token))},
	} {
		if err := e.hostile(failure, c[0]+" in the cookie", e.name+"="+c[1]); err != nil {
			return err
		}
	}
	for _, c := range [][2]string{
		{"a name without a value", e.name},
		{"a value without a name", "=" + token},
		{"a name in another case", swapCase(e.name) + "=" + token},
		{"no name, and ours in it", "=" + e.name + "=" + token},
		{"a name with a space in it", e.name + " x=" + token},
		{"nothing but semicolons", ";;;;"},
		{"a dollar before the name", "$" + e.name + "=" + token},
		{"a name with a quote in it", `"` + e.name + `"=` + token},
		{"a name behind a wide space", "\u2000" + e.name + "=" + token},
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
	// With ours among them it may be read or not; it is not to be replaced.
	for _, path := range e.app.pages() {
		a, err := e.ask(path, carrying(many+e.name+"="+token))
		if err != nil {
			return err
		}
		if a.status >= http.StatusInternalServerError {
			return fmt.Errorf("%s is answered %d with 3001 cookies and ours", a.to, a.status)
		}
		for _, value := range e.gives(a) {
			user, err := e.opens(value)
			if err != nil {
				return err
			}
			if user != 0 { // else the session was renewed
				e.remark(fmt.Errorf("%s replaces the cookie %q of a request with 3001 others", a.to, e.name))
			}
		}
	}
	return nil
}
