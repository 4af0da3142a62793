package sessionaudit

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// adorned changes the cookie as it is set and as it is deleted.
func adorned(name string, change func(c *http.Cookie)) func(s *site) {
	return func(s *site) {
		s.name, s.adorn, s.undo = name, change, change
	}
}

// accepting accepts a check of which the same defect is a failure.
func accepting(check string) func(a *App) {
	return func(a *App) { a.Accept = map[string]string{check: "it is another check's"} }
}

// lasting changes the cookie only as it is set.
func lasting(change func(c *http.Cookie)) func(s *site) {
	return func(s *site) { s.adorn = change }
}

// issues lets the site make other identifiers.
func issues(issue func() string) func(s *site) {
	return func(s *site) { s.make = issue }
}

// greets lets the page of a user have something more; it may set headers.
func greets(more func(w http.ResponseWriter, token string) string) func(s *site) {
	return func(s *site) {
		s.greet = func(w http.ResponseWriter, r *http.Request, user string) {
			text := ""
			if user != "" {
				text = more(w, s.find(r))
			}
			s.page(w, r, user)
			_, _ = fmt.Fprint(w, text)
		}
	}
}

func inHeaderOf(name, value string) func(s *site) {
	return greets(func(w http.ResponseWriter, token string) string {
		w.Header().Set(name, fmt.Sprintf(value, token))
		return ""
	})
}

func inPage(format string) func(s *site) {
	return greets(func(_ http.ResponseWriter, token string) string { return fmt.Sprintf(format, token) })
}

// fixed gives a user whose browser has nothing always the same identifier.
func fixed(s *site) {
	made := make(map[string]string)
	s.login = func(old, user string) string {
		if old != "" {
			return s.replace(old, user)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if made[user] == "" {
			made[user] = s.make()
		}
		s.sessions[made[user]] = user
		return made[user]
	}
}

// plused makes identifiers that are escaped in pages.
func plused() string {
	var b [24]byte
	_, _ = rand.Read(b[:])
	for i := range 8 { // each of eight quartets of characters begins with "+/"
		b[3*i], b[3*i+1] = 0xfb, 0xf0|b[3*i+1]&0x0f
	}
	return base64.StdEncoding.EncodeToString(b[:]) + rand.Text()
}

func brokenAnswers() []brokenApp {
	const (
		prefix   = "the name of the cookie has the prefix __Host-"
		sameSite = "the cookie says SameSite=Lax or Strict"
		chance   = "an identifier can hold 128 bits of entropy"
		store    = "a response that sets the cookie is not stored"
		vary     = "a response that sets the cookie varies by cookies"
		private  = "private pages are for no shared cache"
		page     = "no identifier is in a page"
		urls     = "no identifier is in a URL"
		headers  = "no identifier is in another header"
	)
	nothing := func(*http.Cookie) {}
	return []brokenApp{
		{"the cookie is Secure", "it is not", "is not Secure", adorned("id", func(c *http.Cookie) { c.Secure = false }), nil},
		{prefix, "it has none", "no prefix that browsers enforce", adorned("id", nothing), nil},
		{prefix, "it has the weaker one", "no prefix that browsers enforce", adorned("__Secure-id", nothing), nil},
		{"the cookie is HttpOnly", "it is not", "is not HttpOnly", adorned("__Host-id", func(c *http.Cookie) { c.HttpOnly = false }), nil},
		{sameSite, "it says nothing", "has no SameSite", adorned("__Host-Http-id", func(c *http.Cookie) { c.SameSite = 0 }), nil},
		{sameSite, "it says None", "has no SameSite, or SameSite=None", adorned("__Host-Http-id", func(c *http.Cookie) { c.SameSite = http.SameSiteNoneMode }), nil},
		{sameSite, "it once says nothing", "has no SameSite", func(s *site) {
			var n atomic.Int32
			s.adorn = func(c *http.Cookie) {
				if n.Add(1) == 3 {
					c.SameSite = 0
				}
			}
		}, nil},
		{"the cookie is for the whole host", "it has no Path", "another Path", adorned("__Secure-id", func(c *http.Cookie) { c.Path = "" }), nil},
		{"the cookie is for no other host", "it has a Domain", "has a Domain", adorned("__Secure-id", func(c *http.Cookie) { c.Domain = "example.com" }), nil},
		{chance, "64 bits", "can hold", issues(func() string { return rand.Text()[:12] }), nil},
		{chance, "a UUID", "124 bits at most", issues(func() string {
			var b [16]byte
			_, _ = rand.Read(b[:])
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		}), nil},
		{chance, "a long text around little", "can hold", issues(func() string {
			return strings.Repeat("0123456789", 6) + rand.Text()[:8]
		}), nil},
		{chance, "always the same for a user", "logins gave only", fixed, nil},

		{store, "it may be", "without Cache-Control: no-store", func(s *site) {
			s.secure = func(h http.Header) { h.Add("Vary", "Cookie") }
		}, nil},
		{store, "only the cookie must not be reused", `no-cache="Set-Cookie" is not enough`, func(s *site) {
			s.secure = func(h http.Header) {
				h.Set("Cache-Control", `no-cache="Set-Cookie"`)
				h.Add("Vary", "Cookie")
			}
		}, nil},
		{vary, "it does not, and may be stored", "without Vary", func(s *site) {
			s.secure = func(h http.Header) { h.Set("Cache-Control", "private") }
		}, accepting(store)},
		{private, "they say nothing", "does not forbid", func(s *site) { s.private = func(http.Header) {} }, nil},
		{private, "they are public", "lets shared caches", func(s *site) {
			s.private = func(h http.Header) { h.Set("Cache-Control", "Public, max-age=60") }
		}, nil},
		{private, "shared caches have a time of their own", "lets shared caches", func(s *site) {
			s.private = func(h http.Header) { h.Set("Cache-Control", "private, s-maxage=60") }
		}, nil},

		{page, "as text", "in the page", inPage("<!-- session %s -->"), nil},
		{page, "for scripts", "in the page", inPage(`{"session":"%s"}`), nil},
		{page, "a part of it", "in the page", greets(func(_ http.ResponseWriter, token string) string { return "session " + token[2:18] + "…" }), nil},
		{page, "escaped", "in the page", func(s *site) {
			issues(plused)(s)
			greets(func(_ http.ResponseWriter, token string) string {
				return "100% of the session " + url.QueryEscape(token[:24])
			})(s)
		}, nil},
		{page, "in references", "in the page", func(s *site) {
			issues(plused)(s)
			greets(func(_ http.ResponseWriter, token string) string {
				return "session " + strings.NewReplacer("+", "&#43;", "/", "&#x2F;").Replace(token[:24])
			})(s)
		}, nil},
		{urls, "of a link", "in a link", inPage(`<a href="/cart?sid=%s">cart</a>`), nil},
		{urls, "of a form", "in a link", inPage(`<form method=post action='/cart;sid=%s'>`), nil},
		{urls, "of a redirect", "header Location", func(s *site) {
			s.settings = func(w http.ResponseWriter, r *http.Request) {
				if _, known := s.lookup(s.find(r)); !known {
					s.account(w, r)
					return
				}
				w.Header().Set("Location", "/about?sid="+s.find(r))
				w.WriteHeader(http.StatusFound)
			}
		}, nil},
		{urls, "of the page itself", "header Content-Location", inHeaderOf("Content-Location", "/private?sid=%s"), nil},
		{headers, "of its own", "header X-Session", inHeaderOf("X-Session", "%s"), nil},
		{headers, "a cookie for scripts", "header Set-Cookie", inHeaderOf("Set-Cookie", "script=%s; Path=/; Secure"), nil},
	}
}
