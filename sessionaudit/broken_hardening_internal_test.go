package sessionaudit

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// firstOfTwo reads the first cookie of the name, as Request.Cookie does.
func firstOfTwo(s *site) {
	finds(func(s *site, r *http.Request) string { return append(s.raws(r), "")[0] })(s)
}

// brokenHardening are applications that could be better in one way, from which no
// attack follows.
func brokenHardening() []brokenApp {
	const (
		life      = "the cookie lives for 400 days at most"
		vary      = "a response that sets the cookie varies by cookies"
		headers   = "an identifier in another header logs nobody in"
		two       = "two cookies of the name are no session"
		quotes    = "a quoted cookie is no session"
		thousands = "more cookies than Go reads are no session"
		deleted   = "the cookie is deleted with the attributes it was set with"
	)
	const days = 24 * time.Hour
	return []brokenApp{
		{life, "Max-Age is longer", "over 400 days", lasting(func(c *http.Cookie) { c.MaxAge = 401 * 86400 }), nil},
		{life, "Expires is later", "over 400 days", lasting(func(c *http.Cookie) { c.Expires = time.Now().Add(401 * days) }), nil},
		{"a response sets the cookie once", "twice", "2 times", func(s *site) {
			good := s.secure
			s.secure = func(h http.Header) {
				good(h)
				h.Add("Set-Cookie", h.Get("Set-Cookie"))
			}
		}, nil},
		{vary, "it does not", "without Vary", func(s *site) {
			s.secure = func(h http.Header) {
				h.Set("Cache-Control", "private, no-store")
				h.Set("Vary", "Accept, Accept-Encoding")
			}
		}, nil},
		{deleted, "another SameSite", "another SameSite", func(s *site) {
			s.undo = func(c *http.Cookie) { c.SameSite = 0 }
		}, nil},
		{deleted, "a name that allows another HttpOnly", "another HttpOnly", func(s *site) {
			s.name, s.undo = "__Host-id", func(c *http.Cookie) { c.HttpOnly = false }
		}, nil},

		{headers, "it is a bearer token", "a header that is not Cookie", finds(func(_ *site, r *http.Request) string {
			return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		}), nil},
		{headers, "it has a header of its own", "a header that is not Cookie", finds(func(_ *site, r *http.Request) string {
			return r.Header.Get("X-Session-Id")
		}), nil},

		{two, "the first counts", "logs in as user 0 with two cookies", firstOfTwo, nil},
		{two, "the last counts", "logs in as user 0 with two cookies", finds(func(s *site, r *http.Request) string {
			all := append([]string{""}, s.raws(r)...)
			return all[len(all)-1]
		}), nil},
		{two, "the name is not judged", "logs in as user 0 with two cookies", func(s *site) {
			adorned("id", func(c *http.Cookie) { c.Secure = false })(s)
			firstOfTwo(s)
		}, func(a *App) { a.Insecure = true }},
		{quotes, "they are taken off", "with quotes around", trims(func(v string) string { return strings.Trim(v, `"`) }), nil},
		{quotes, "one is taken off", "in a later cookie", trims(func(v string) string {
			if strings.HasSuffix(v, `"`) {
				return v
			}
			return strings.TrimPrefix(v, `"`)
		}), nil},
		{thousands, "they replace a session", "replaces the cookie", begins(func(r *http.Request) bool {
			line := strings.Join(r.Header["Cookie"], "\n")
			return strings.Count(line, ";") > 3000 && strings.Contains(line, "__Host-Http-id")
		}), nil},
	}
}

// TestHardening: what could be better, and leads to no attack, is reported as
// hardening by its check and by no other, with the reason why. It does not fail
// the audit, unless App.Strict is set.
func TestHardening(t *testing.T) {
	t.Parallel()
	for _, b := range brokenHardening() {
		t.Run(b.check+"/"+b.name, func(t *testing.T) {
			t.Parallel()
			e, found := b.audited(t)
			b.only(t, found, hardening)

			e.app.Strict = true
			check := checkNamed(b.check)
			if k, text := e.verdict(check); k != failure || !strings.Contains(text, b.says) {
				t.Errorf("Strict: got kind %d, %q, want a failure that says %q", k, text, b.says)
			}
			if !strings.Contains(check.Advice, "no attack follows") {
				t.Errorf("the advice does not say why it is hardening: %s", check.Advice)
			}
			e.app.Accept = map[string]string{b.check: "we know"}
			if k, text := e.verdict(check); k != passed || !strings.HasSuffix(text, "\naccepted: we know") {
				t.Errorf("Strict, accepted: got kind %d, %q, want that it is accepted", k, text)
			}
		})
	}
}

func checkNamed(name string) Check {
	for _, c := range Checks() {
		if c.Name == name {
			return c
		}
	}
	return Check{}
}
