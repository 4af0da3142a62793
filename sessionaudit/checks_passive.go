package sessionaudit

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The checks of this file judge every answer of the site so far.

func cachingChecks() []Check {
	return []Check{
		{
			"a response that sets the cookie is not stored", "14.3.2", "R22",
			"answer with Cache-Control: no-store: a cache hands the identifier to the next visitor otherwise (cookie.Propagator does). " +
				`no-cache="Set-Cookie", which others send, is less: caches may still store the identifier, hand it out when the page ` +
				"is unchanged (304), and few know that form of no-cache (RFC 9111, 5.2.2.4)",
			noStore,
		},
		{
			"a response that sets the cookie varies by cookies", "14.2.2", "R22",
			"answer with Vary: Cookie, for the caches that do not heed no-store (cookie.Propagator does). " +
				"It is hardening where no-store is there: no attack follows, in a browser that keeps RFC 6265bis or in a cache that keeps RFC 9111, which stores nothing",
			varies,
		},
		{
			"private pages are for no shared cache", "14.2.2", "R22",
			"answer with Cache-Control: no-store, or private, and never public or s-maxage, where a page shows something of a user",
			privatePages,
		},
	}
}

func leakChecks() []Check {
	const out = "the Set-Cookie of its own cookie is the only way out for an identifier"
	return []Check{
		{"no identifier is in a page", "3.3.4", "R13", out + "; show or log the id of the session where it is not the secret", leakBody},
		{"no identifier is in a URL", "14.2.1", "R21", out + "; URLs end up in logs, histories and Referer", leakURL},
		{"no identifier is in another header", "3.3.4", "R13", out + "; scripts can read any other header, and cookies without HttpOnly", leakHeader},
	}
}

// directives returns those of Cache-Control, in small letters.
func directives(h http.Header) []string {
	var all []string
	for d := range strings.SplitSeq(strings.ToLower(strings.Join(h["Cache-Control"], ",")), ",") {
		name, _, _ := strings.Cut(d, "=")
		all = append(all, strings.TrimSpace(name))
	}
	return all
}

func noStore(e *env) error {
	return e.each(func(a answer) string {
		if len(a.cookies(e.name)) > 0 && !slices.Contains(directives(a.header), "no-store") {
			return fmt.Sprintf("%s sets or deletes the cookie %q without Cache-Control: no-store", a.to, e.name)
		}
		return ""
	})
}

func varies(e *env) error {
	return e.each(func(a answer) string {
		if len(a.cookies(e.name)) == 0 {
			return ""
		}
		for field := range strings.SplitSeq(strings.Join(a.header["Vary"], ","), ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return ""
			}
		}
		text := fmt.Sprintf("%s sets or deletes the cookie %q without Vary: Cookie", a.to, e.name)
		if slices.Contains(directives(a.header), "no-store") {
			e.remark(errors.New(text))
			return ""
		}
		return text
	})
}

func privatePages(e *env) error {
	return e.each(func(a answer) string {
		have := directives(a.header)
		switch {
		case e.user(a) == nobody, slices.Contains(have, "no-store"):
			return ""
		case slices.Contains(have, "public") || slices.Contains(have, "s-maxage"):
			return fmt.Sprintf("%s shows something of a user, and lets shared caches store it", a.to)
		case !slices.Contains(have, "private"):
			return fmt.Sprintf("%s shows something of a user, and does not forbid shared caches to store it", a.to)
		}
		return ""
	})
}

// run is how many characters of an identifier in a row are a leak.
const run = 16

// runs returns the parts of all identifiers so far that must be nowhere.
func (e *env) runs() map[string]bool {
	all := make(map[string]bool)
	add := func(token string) {
		for s := secret(token); len(s) >= run; s = s[1:] {
			all[s[:run]] = true
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.seen {
		for _, token := range e.gives(a) {
			add(token)
		}
	}
	return all
}

// leaks reports whether a part of an identifier is in s, as it is or escaped.
func leaks(parts map[string]bool, s string) bool {
	for _, s := range slices.Compact([]string{s, html.UnescapeString(s), escapes.ReplaceAllStringFunc(s, unescaped)}) {
		for ; len(s) >= run; s = s[1:] {
			if parts[s[:run]] {
				return true
			}
		}
	}
	return false
}

// escapes matches those of URLs, in a text with any other percent signs.
var escapes = regexp.MustCompile(`%[2-7][0-9A-Fa-f]`)

func unescaped(escape string) string {
	s, _ := url.PathUnescape(escape)
	return s
}

// attributes matches the URLs of a page.
var attributes = regexp.MustCompile(`(?i)\b(?:href|src|action|formaction|content|data-url)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>"']+)`)

// texts says of which answers a text, taken of the body, has an identifier in it.
func (e *env) texts(parts map[string]bool, of func(body string) string, where string) error {
	judged := make(map[string]bool)
	return e.each(func(a answer) string {
		text := of(a.body)
		if a.prompted || judged[text] {
			return ""
		}
		judged[text] = true
		if leaks(parts, text) {
			return a.to + where
		}
		return ""
	})
}

func leakBody(e *env) error {
	return e.texts(e.runs(), func(body string) string { return attributes.ReplaceAllString(body, "") }, " answers with an identifier in the page")
}

func leakURL(e *env) error {
	parts := e.runs()
	links := func(body string) string { return strings.Join(attributes.FindAllString(body, -1), "\n") }
	return errors.Join(e.texts(parts, links, " answers with an identifier in a link"), e.each(func(a answer) string {
		for _, name := range urlHeaders() {
			if !a.prompted && leaks(parts, strings.Join(a.header[name], "\n")) {
				return fmt.Sprintf("%s answers with an identifier in the header %s", a.to, name)
			}
		}
		return ""
	}))
}

func urlHeaders() []string { return []string{"Location", "Content-Location", "Refresh", "Link"} }

func leakHeader(e *env) error {
	parts := e.runs()
	return e.each(func(a answer) string {
		for name, lines := range a.header {
			if a.prompted || slices.Contains(urlHeaders(), name) {
				continue
			}
			for _, line := range lines {
				if c, err := http.ParseSetCookie(line); name == "Set-Cookie" && err == nil && c.Name == e.name {
					continue
				}
				if leaks(parts, line) {
					return fmt.Sprintf("%s answers with an identifier in the header %s", a.to, name)
				}
			}
		}
		return ""
	})
}
