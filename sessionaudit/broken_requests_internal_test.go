package sessionaudit

import (
	"net/http"
	"strings"
	"time"
)

// first puts a handler in front of the site; it reports whether it answered.
func (s *site) first(handle func(w http.ResponseWriter, r *http.Request) bool) {
	s.around = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !handle(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// breaks lets the site fail for requests of which something holds.
func breaks(holds func(r *http.Request) bool) func(s *site) {
	return func(s *site) {
		s.first(func(w http.ResponseWriter, r *http.Request) bool {
			if holds(r) {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return holds(r)
		})
	}
}

// begins lets the site begin a session for requests of which something holds.
func begins(holds func(r *http.Request) bool) func(s *site) {
	return func(s *site) {
		s.first(func(w http.ResponseWriter, r *http.Request) bool {
			if holds(r) {
				s.set(w, s.begin(""))
			}
			return false
		})
	}
}

// finds lets the site read identifiers in another way, where it finds none.
func finds(find func(s *site, r *http.Request) string) func(s *site) {
	return func(s *site) {
		s.find = func(r *http.Request) string {
			token := s.fromCookie(r)
			if _, known := s.lookup(token); !known {
				token = find(s, r)
			}
			return token
		}
	}
}

// trims lets the site take something off a value.
func trims(trim func(value string) string) func(s *site) {
	return finds(func(s *site, r *http.Request) string { return trim(s.fromCookie(r)) })
}

// raws returns the values of our cookie as they were sent.
func (s *site) raws(r *http.Request) (all []string) {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, "; ") {
			if name, value, _ := strings.Cut(pair, "="); name == s.name {
				all = append(all, value)
			}
		}
	}
	return all
}

// trusts lets the site skip the check of other sites on a path when something
// holds.
func trusts(path string, holds func(r *http.Request) bool) func(s *site) {
	return func(s *site) {
		s.cross = func(next http.Handler) http.Handler {
			checked := http.NewCrossOriginProtection().Handler(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path && holds(r) {
					next.ServeHTTP(w, r)
				} else {
					checked.ServeHTTP(w, r)
				}
			})
		}
	}
}

const big = "a cookie of a megabyte is no session"

func brokenRequests() []brokenApp {
	const (
		link      = "a logout takes more than a link"
		one       = "an identifier that is changed in one character logs nobody in"
		urls      = "an identifier in a URL logs nobody in"
		forms     = "an identifier in a form logs nobody in"
		headers   = "an identifier in another header logs nobody in"
		two       = "two cookies of the name are no session"
		quotes    = "a quoted cookie is no session"
		badShape  = "malformed cookies are no session"
		thousands = "more cookies than Go reads are no session"
		free      = "visitors get no session unasked"
		mix       = "users at the same time do not mix"
	)
	cookies := func(r *http.Request) string { return strings.Join(r.Header["Cookie"], "\n") }
	large := func(r *http.Request) bool { return len(cookies(r)) > 500_000 }
	many := func(r *http.Request) bool { return strings.Count(cookies(r), ";") > 3000 }
	stars := func(r *http.Request) bool { return strings.Contains(cookies(r), "**") }
	doubled := func(r *http.Request) bool { return strings.Count(cookies(r), "__Host-Http-id=") == 2 && !large(r) }
	quoteMark := func(r *http.Request) bool {
		return strings.Contains(cookies(r), `="`) && strings.Count(cookies(r), `"`) == 2
	}
	path := func(method, path string) func(r *http.Request) bool {
		return func(r *http.Request) bool { return r.Method == method && r.URL.Path == path }
	}
	broken := []brokenApp{
		{link, "any method does", "a link on another site to GET /logout", func(s *site) {
			s.out = func(*http.Request) bool { return true }
		}, nil},
		{link, "it is one", "a link on another site to GET /logout", func(s *site) {
			s.out = func(*http.Request) bool { return true }
		}, func(a *App) {
			a.Logout = func(*Browser) *http.Request {
				req := Form("/logout")
				req.Method = http.MethodGet
				return req
			}
		}},
		{link, "it forgets the cookie only", "a link on another site to GET /logout", func(s *site) {
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				if path(http.MethodGet, "/logout")(r) {
					s.unset(w)
				}
				return false
			})
		}, nil},

		{one, "half of it counts", "another character at position", finds(func(s *site, r *http.Request) string {
			sent := s.fromCookie(r)
			s.mu.Lock()
			defer s.mu.Unlock()
			for token := range s.sessions {
				if len(token) == len(sent) && token[:len(token)/2] == sent[:len(sent)/2] {
					return token
				}
			}
			return ""
		}), nil},
		{urls, "it is read from the query", "in the query", finds(func(_ *site, r *http.Request) string { return r.URL.Query().Get("sid") }), nil},
		{urls, "it is read from the path", "in the path", func(s *site) {
			s.first(func(_ http.ResponseWriter, r *http.Request) bool {
				var value string
				if r.URL.Path, value, _ = strings.Cut(r.URL.Path, ";"); value != "" {
					r.Header.Set("Cookie", value)
				}
				return false
			})
		}, nil},
		{urls, "it becomes a cookie", "sets the cookie", func(s *site) {
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				if token := r.URL.Query().Get("session_id"); token != "" {
					s.set(w, token)
				}
				return false
			})
		}, nil},
		{forms, "it is read from there", "in a form", finds(func(_ *site, r *http.Request) string { return r.PostFormValue("token") }), nil},

		{headers, "it becomes a cookie", "sets the cookie", func(s *site) {
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				if token := r.Header.Get("X-Session-Id"); token != "" {
					s.set(w, token)
				}
				return false
			})
		}, nil},

		{big, "it breaks the site", "answered 500", breaks(large), nil},
		{big, "it begins a session", "sets a new cookie", begins(large), nil},
		{big, "it is cut", "logs in as user 0 with an identifier followed by a megabyte", trims(func(v string) string {
			if len(v) > 500_000 {
				v = v[:26]
			}
			return v
		}), nil},
		{two, "they break the site", "answered 500", breaks(doubled), nil},
		{two, "they begin a session", "sets a new cookie", begins(doubled), nil},
		{two, "the first counts, and subdomains can set it", "logs in as user 0 with two cookies", func(s *site) {
			adorned("__Secure-id", func(c *http.Cookie) { c.Domain = "example.com" })(s)
			firstOfTwo(s)
		}, accepting("the cookie is for no other host")},
		{quotes, "they break the site", "answered 500", breaks(quoteMark), nil},
		{badShape, "it breaks the site", "answered 500", breaks(stars), nil},
		{badShape, "it panics", "no answer", func(s *site) {
			s.first(func(_ http.ResponseWriter, r *http.Request) bool {
				if stars(r) {
					panic(http.ErrAbortHandler)
				}
				return false
			})
		}, nil},
		{badShape, "it begins a session", "sets a new cookie", begins(stars), nil},
		{badShape, "escapes are taken off", "a percent escape in the cookie", trims(func(v string) string { return strings.TrimSuffix(v, "%00") }), nil},
		{badShape, "spaces are taken out", "a space in it", trims(func(v string) string { return strings.ReplaceAll(v, " ", "") }), nil},
		{badShape, "names have no case", "a name in another case", finds(func(s *site, r *http.Request) string {
			name, value, _ := strings.Cut(cookies(r), "=")
			if strings.EqualFold(name, s.name) {
				return value
			}
			return ""
		}), nil},
		{thousands, "they break the site", "answered 500", breaks(many), nil},
		{thousands, "they begin a session", "sets a new cookie", begins(many), nil},
		{thousands, "the last one breaks the site", "3001 other cookies and the session's", breaks(func(r *http.Request) bool {
			return many(r) && strings.Contains(cookies(r), "__Host-Http-id")
		}), nil},

		{free, "every visit begins one", "GET /private sets the cookie", begins(func(r *http.Request) bool {
			return r.URL.Path == "/private" && cookies(r) == ""
		}), nil},
		{free, "unknown values begin one", "that the site never issued", func(s *site) {
			s.first(func(w http.ResponseWriter, r *http.Request) bool {
				token := s.find(r)
				if _, known := s.lookup(token); !known && len(token) == 26 && r.URL.Path == "/about" {
					s.set(w, s.begin(""))
				}
				return false
			})
		}, nil},
		{free, "a logout begins one", "POST /logout sets the cookie", begins(func(r *http.Request) bool {
			return r.URL.Path == "/logout" && cookies(r) == ""
		}), nil},
		{free, "a logout of nobody breaks the site", "is answered 500", breaks(func(r *http.Request) bool {
			return r.URL.Path == "/logout" && cookies(r) == ""
		}), nil},
		{mix, "the user is in a global", "shows user", func(s *site) { s.crowded(func(other string) string { return other }) }, nil},
		{mix, "a busy site knows nobody", "without their Marker", func(s *site) { s.crowded(func(string) string { return "" }) }, nil},
	}
	for name, passes := range map[string]func(r *http.Request) bool{
		"with Sec-Fetch-Site: cross-site": func(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" },
		"with Sec-Fetch-Site: same-site":  func(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "same-site" },
		"without Sec-Fetch":               func(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "" },
	} {
		_, says, _ := strings.Cut(name, " ")
		says = strings.TrimPrefix(says, "with")
		broken = append(
			broken,
			brokenApp{"a logout that another site sends is refused", name, says, trusts("/logout", passes), nil},
			brokenApp{"a login that another site sends is refused", name, says, trusts("/login", passes), nil},
		)
	}
	return broken
}

// crowded lets the site do something else for a user when another request is
// there, of the user other.
func (s *site) crowded(mistake func(other string) string) {
	meet := make(chan string)
	s.greet = func(w http.ResponseWriter, r *http.Request, user string) {
		patience := time.NewTimer(2 * time.Millisecond)
		defer patience.Stop()
		select {
		case meet <- user:
		case other := <-meet:
			user = mistake(other)
		case <-patience.C:
		}
		s.page(w, r, user)
	}
}
