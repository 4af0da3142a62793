package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestApp: what is wrong with the description of an application is said, before
// anything is checked.
func TestApp(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(s *site, a *App){
		"Login is nil":          func(_ *site, a *App) { a.Login = nil },
		"Logout is nil":         func(_ *site, a *App) { a.Logout = nil },
		"Private is not a path": func(_ *site, a *App) { a.Private = "" },
		"Marker is nil":         func(_ *site, a *App) { a.Marker = nil },
		"one text contains the other": func(_ *site, a *App) {
			a.Marker = func(user int) string { return "Hello"[:4+user] }
		},
		"user 1 is empty":                func(_ *site, a *App) { a.Marker = func(int) string { return "" } },
		`"about" is not a path`:          func(_ *site, a *App) { a.Routes = []string{"about"} },
		`no check has the name "Secure"`: func(_ *site, a *App) { a.Accept = map[string]string{"Secure": ""} },
		"Bound is negative":              func(_ *site, a *App) { a.Bound = -1 },
		"App.Host is not a host name":    func(_ *site, a *App) { a.Host = "%" },
		"strangers see the Marker": func(_ *site, a *App) {
			a.Marker = func(user int) string { return [...]string{"log in", "grace"}[user] }
		},
		"made no request for user 0": func(_ *site, a *App) { a.Login = func(*Browser, int) *http.Request { return nil } },
		"POST /login was answered 303, and then /private was answered 401": func(s *site, _ *App) {
			s.login = func(string, string) string { return "" }
		},
		"browsers refuse the cookie __Host-Http-id": func(s *site, _ *App) { s.adorn = func(c *http.Cookie) { c.Path = "" } },
		"the login needs 0 of them":                 func(_ *site, a *App) { a.Cookie = "other" },
		"the login needs 2 of them":                 twoCookies,
		"alone is not enough to be logged in": func(s *site, a *App) {
			twoCookies(s, a)
			a.Cookie = s.name
		},
		"has the same value for both users": func(s *site, _ *App) {
			s.login = func(_, user string) string {
				s.put("always", user)
				return "always"
			}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := newSite()
			app := s.app()
			change(s, &app)
			_, err := newEnv(t, s.handler(), app)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want something of %q", err, want)
			}
		})
	}
	if _, err := newEnv(t, nil, newSite().app()); err == nil || err.Error() != "the handler is nil" {
		t.Errorf("no handler: got %v", err)
	}
}

// twoCookies lets a session need two.
func twoCookies(s *site, _ *App) {
	s.secure = func(h http.Header) {
		h.Set("Cache-Control", "no-store")
		h.Add("Set-Cookie", "second=x; Path=/; Secure")
	}
	s.find = func(r *http.Request) string {
		if _, err := r.Cookie("second"); err != nil {
			return ""
		}
		return s.fromCookie(r)
	}
}

// TestNoRequest: an application that stops to describe itself gives no good
// marks.
func TestNoRequest(t *testing.T) {
	t.Parallel()
	s := newSite()
	e, err := newEnv(t, s.handler(), s.app())
	if err != nil {
		t.Fatal(err)
	}
	none := func(*Browser) *http.Request { return nil }
	e.app.Login, e.app.Logout, e.app.Anonymous = func(*Browser, int) *http.Request { return nil }, none, none
	if err := unasked(e); err == nil {
		t.Error("no logout: the check passes")
	}
	if err := loginForged(e); err == nil {
		t.Error("no login: the check passes")
	}
	e.app.Login = s.app().Login
	for _, check := range []func(e *env) error{logoutEnds, logoutByGet, logoutForged, plantedReal} {
		if err := check(e); err == nil {
			t.Error("no request: a check passes")
		}
	}
	// Nor does one whose hooks meet a dead server.
	e.app.Logout = func(b *Browser) *http.Request {
		b.Get("\x7f")
		return Form("/logout")
	}
	if err := logoutEnds(e); err == nil {
		t.Error("a hook that fails: the check passes")
	}
}

// TestChecks: every line of the report is there.
func TestChecks(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range Checks() {
		names = append(names, c.Name)
		if !regexp.MustCompile(`^(\d+\.\d+\.\d+)?$`).MatchString(c.ASVS) || !regexp.MustCompile(`^R\d\d$`).MatchString(c.Requirement) {
			t.Errorf("%s: ASVS %q, requirement %q", c.Name, c.ASVS, c.Requirement)
		}
		if c.Advice == "" || c.run == nil {
			t.Errorf("%s: no advice, or nothing to run", c.Name)
		}
	}
	if slices.Sort(names); len(slices.Compact(names)) != len(Checks()) {
		t.Error("two checks have one name")
	}
}

// TestGoodVariants: what can be done in another way, and is not wrong.
func TestGoodVariants(t *testing.T) {
	t.Parallel()
	for name, vary := range map[string]func(s *site, a *App){
		"the cookie is deleted by Expires": func(s *site, _ *App) {
			s.undo = func(c *http.Cookie) { c.MaxAge, c.Expires = 0, time.Unix(1, 0) }
		},
		"SameSite=Strict": func(s *site, _ *App) {
			s.adorn = func(c *http.Cookie) { c.SameSite = http.SameSiteStrictMode }
			s.undo = s.adorn
		},
		"400 days": func(s *site, _ *App) { s.adorn = func(c *http.Cookie) { c.MaxAge = 400 * 86400 } },
		"a session cookie for a while": func(s *site, _ *App) {
			s.adorn = func(c *http.Cookie) { c.Expires = time.Now().Add(time.Hour) }
		},
		"Vary: * and private pages": func(s *site, _ *App) {
			s.secure = func(h http.Header) {
				h.Set("Cache-Control", "No-Store")
				h.Set("Vary", "*")
			}
			s.private = func(h http.Header) { h.Set("Cache-Control", "max-age=0, private") }
		},
		"other cookies": func(s *site, _ *App) {
			s.first(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Add("Set-Cookie", "theme=dark; Path=/; Max-Age=99999999")
				return false
			})
		},
		"a logout gives another cookie": func(s *site, _ *App) {
			s.logout = func(w http.ResponseWriter, token string) {
				s.drop(token)
				s.set(w, s.begin(""))
			}
		},
		"a public handle before a dot, on the page": func(s *site, _ *App) {
			one := s.make
			s.make = func() string { return one() + "." + one() }
			greets(func(_ http.ResponseWriter, token string) string { return token[:26] })(s)
		},
		"a redirect that repeats where one was going": func(s *site, _ *App) {
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.RawQuery == "" {
					return false
				}
				http.Redirect(w, r, "/login?next="+r.URL.RequestURI(), http.StatusFound)
				w.Header().Set("X-Next", r.URL.RequestURI())
				return true
			})
		},
		"forms with tokens, whatever site they come from": formTokens,
		"a site of its own": func(s *site, a *App) {
			a.Host = "shop.test"
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Host != "shop.test" {
					w.WriteHeader(http.StatusMisdirectedRequest)
				}
				return r.Host != "shop.test"
			})
		},
		"a site that wants what browsers send": func(s *site, a *App) {
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				h, own := r.Header, "https://example.com"
				good := h.Get("User-Agent") != "" && h.Get("Accept") != "" && h.Get("Sec-Fetch-Mode") == "navigate" &&
					h.Get("Sec-Fetch-Dest") == "document" && h.Get("Sec-Fetch-Site") != "" && h.Get("Referer") != ""
				if r.Method == http.MethodPost {
					good = h.Get("Origin") == own && h.Get("Sec-Fetch-Site") == "same-origin" && h.Get("Referer") == own+"/"
				} else {
					good = good && h.Get("Origin") == ""
				}
				if r.URL.Path == "/login" {
					good = good && h.Get("Accept") == "application/json"
				}
				if !good {
					w.WriteHeader(http.StatusForbidden)
				}
				return !good
			})
			a.Login = func(_ *Browser, user int) *http.Request {
				req := Form("/login", "user", s.user(user))
				req.Header.Set("Accept", "application/json")
				return req
			}
		},
		"the name is given": func(s *site, a *App) { a.Cookie = s.name },
		"sessions are named in GET as in POST": func(s *site, a *App) {
			a.Logout = func(*Browser) *http.Request {
				req := Form("/logout?from=here")
				req.Header.Set("X-Form", "yes")
				return req
			}
		},
		"a shared cookie": func(s *site, a *App) {
			adorned("__Secure-id", func(c *http.Cookie) { c.Domain = "example.com" })(s)
			a.Accept = map[string]string{"the cookie is for no other host": "it is shared"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite()
			app := s.app()
			vary(s, &app)
			_, found := findings(t, s.handler(), app, 100_000)
			for name, f := range found {
				t.Errorf("%s: %s", name, f.text)
			}
		})
	}
}

// formTokens lets the forms of the site have tokens (a double submit, bound to
// the browser), and lets it check nothing else.
func formTokens(s *site, a *App) {
	const name = "__Host-form"
	s.cross = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := r.Cookie(name)
			switch {
			case r.URL.Path == "/form":
				if err != nil {
					c = &http.Cookie{Name: name, Value: s.make(), Path: "/", Secure: true, HttpOnly: true}
					http.SetCookie(w, c)
				}
				_, _ = fmt.Fprint(w, c.Value)
			case r.Method == http.MethodPost && (err != nil || r.PostFormValue("form") != c.Value):
				w.WriteHeader(http.StatusForbidden)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
	post := func(b *Browser, path, user string) *http.Request {
		return Form(path, "user", user, "form", b.Get("/form"))
	}
	a.Login = func(b *Browser, user int) *http.Request { return post(b, "/login", s.user(user)) }
	a.Logout = func(b *Browser) *http.Request { return post(b, "/logout", "") }
	a.Anonymous = func(b *Browser) *http.Request { return post(b, "/cart", "") }
}

// TestNotChecked: what App does not say is not checked, and the report says so.
func TestNotChecked(t *testing.T) {
	t.Parallel()
	s := newSite()
	app := s.app()
	app.Anonymous, app.Routes = nil, nil
	e, err := newEnv(t, s.handler(), app)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range Checks() {
		if k, text := e.verdict(c); k != passed {
			t.Errorf("%s: %s", c.Name, text)
		} else if strings.HasPrefix(text, "not checked: ") {
			got = append(got, c.Name)
		}
	}
	want := []string{
		"a login replaces the identifier of a stranger", "a login ends the identifier of a stranger",
		"a logout ends the session on every route",
		"a copied cookie of a bound session ends", "a proof is good once", "a device is registered with the cookie of its login",
		"another key proves nothing", "a proof needs its signature", "registration and refresh are for no other site",
	}
	if !slices.Equal(got, want) {
		t.Errorf("not checked: got %q, want %q", got, want)
	}
	e.app.Insecure = true
	for _, check := range []func(e *env) error{isSecure, hasPrefix} {
		var not notCheckedError
		if err := check(e); !errors.As(err, &not) {
			t.Errorf("over plain http: got %v, want that it is not checked", err)
		}
	}
}

// TestStrangersByVisit: where no other way is told, the identifier of a stranger
// is what a page gives.
func TestStrangersByVisit(t *testing.T) {
	t.Parallel()
	s := newSite()
	s.loginWhen(func(is string, known bool, _ string) bool { return known && is == "" }, s.keep)
	begins(func(r *http.Request) bool { return r.URL.Path == "/about" && s.find(r) == "" })(s)
	app := s.app()
	app.Anonymous = nil
	e, err := newEnv(t, s.handler(), app)
	if err != nil {
		t.Fatal(err)
	}
	if err := plantedReal(e); err == nil {
		t.Error("the check found nothing wrong")
	}
}
