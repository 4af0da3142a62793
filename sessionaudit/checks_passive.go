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

// The checks of this file read every answer of the site so far.

func cachingChecks() []Check {
	return []Check{
		{
			"a response that sets the cookie is not stored", "14.3.2", "R22",
			"answer with Cache-Control: no-store; otherwise a cache may send the identifier to the next visitor (cookie.Propagator does). " +
				`no-cache="Set-Cookie" is not enough: caches may still store the identifier and send it when the page ` +
				"is unchanged (304), and few support that form of no-cache (RFC 9111, 5.2.2.4)",
			noStore,
		},
		{
			"a response that sets the cookie varies by cookies", "14.2.2", "R22",
			"answer with Vary: Cookie, for caches that ignore no-store (cookie.Propagator does). " +
				"It is hardening if the answer has no-store: no attack follows, because a cache that keeps RFC 9111 then stores nothing",
			varies,
		},
		{
			"private pages are for no shared cache", "14.2.2", "R22",
			"answer with Cache-Control: no-store or private if a page shows a user's data, and never with public or s-maxage",
			privatePages,
		},
	}
}

func leakChecks() []Check {
	const out = "send an identifier only in the Set-Cookie of its own cookie"
	return []Check{
		{"no identifier is in a page", "3.3.4", "R13", out + "; to show or log a session, use an id that is not the secret", leakBody},
		{"no identifier is in a URL", "14.2.1", "R21", out + "; URLs end up in logs, histories and Referer", leakURL},
		{"no identifier is in another header", "3.3.4", "R13", out + "; scripts can read any other header, and any cookie without HttpOnly", leakHeader},
	}
}

// directives returns the directives of Cache-Control in lower case.
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
			return fmt.Sprintf("%s shows a user's data and lets shared caches store it", a.to)
		case !slices.Contains(have, "private"):
			return fmt.Sprintf("%s shows a user's data and does not forbid shared caches to store it", a.to)
		}
		return ""
	})
}

// leakSize is the number of consecutive characters of an identifier that count as a leak.
const leakSize = 16

// secrets returns the parts of all identifiers so far that must not leak.
func (e *env) secrets() map[string]bool {
	all := make(map[string]bool)
	add := func(token string) {
		for s := secret(token); len(s) >= leakSize; s = s[1:] {
			all[s[:leakSize]] = true
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.seen {
		for _, token := range e.issued(a) {
			add(token)
		}
	}
	return all
}

// leaks reports whether s contains a part of an identifier, plain or escaped.
func leaks(parts map[string]bool, s string) bool {
	for _, s := range slices.Compact([]string{s, html.UnescapeString(s), escapes.ReplaceAllStringFunc(s, unescaped)}) {
		for ; len(s) >= leakSize; s = s[1:] {
			if parts[s[:leakSize]] {
				return true
			}
		}
	}
	return false
}

// escapes matches the escapes of URLs, in a text that may contain other percent signs.
var escapes = regexp.MustCompile(`%[2-7][0-9A-Fa-f]`)

func unescaped(escape string) string {
	s, _ := url.PathUnescape(escape)
	return s
}

// attributes matches the URLs of a page.
var attributes = regexp.MustCompile(`(?i)\b(?:href|src|action|formaction|content|data-url)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>"']+)`)

// leaksInBody reports the answers in which a part of the body contains an identifier.
func (e *env) leaksInBody(parts map[string]bool, of func(body string) string, where string) error {
	judged := make(map[string]bool)
	return e.each(func(a answer) string {
		if a.echoes || judged[a.body] {
			return ""
		}
		judged[a.body] = true
		if leaks(parts, a.body) && leaks(parts, of(a.body)) { // in this order, because of is slow
			return a.to + where
		}
		return ""
	})
}

func leakBody(e *env) error {
	return e.leaksInBody(e.secrets(), func(body string) string { return attributes.ReplaceAllString(body, "") }, " answers with an identifier in the page")
}

func leakURL(e *env) error {
	parts := e.secrets()
	links := func(body string) string { return strings.Join(attributes.FindAllString(body, -1), "\n") }
	return errors.Join(e.leaksInBody(parts, links, " answers with an identifier in a link"), e.each(func(a answer) string {
		for _, name := range urlHeaders() {
			if !a.echoes && leaks(parts, strings.Join(a.header[name], "\n")) {
				return fmt.Sprintf("%s answers with an identifier in the header %s", a.to, name)
			}
		}
		return ""
	}))
}

func urlHeaders() []string { return []string{"Location", "Content-Location", "Refresh", "Link"} }

func leakHeader(e *env) error {
	parts := e.secrets()
	return e.each(func(a answer) string {
		for name, lines := range a.header {
			if a.echoes || slices.Contains(urlHeaders(), name) {
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
