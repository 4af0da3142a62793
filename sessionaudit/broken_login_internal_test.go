package sessionaudit

import (
	"fmt"
	"net/http"
	"sync"
)

// loginWhen replaces the login where the browser has an identifier of which a
// condition holds.
func (s *site) loginWhen(holds func(is string, known bool, user string) bool, login func(old, user string) string) {
	s.login = func(old, user string) string {
		if is, known := s.lookup(old); old != "" && holds(is, known, user) {
			return login(old, user)
		}
		return s.replace(old, user)
	}
}

// keep lets an identifier log in that the browser had before.
func (s *site) keep(old, user string) string {
	s.put(old, user)
	return old
}

// both lets the old identifier log in, and a new one.
func (s *site) both(old, user string) string {
	s.put(old, user)
	return s.begin(user)
}

// besides leaves the old session as it is.
func (s *site) besides(_, user string) string { return s.begin(user) }

func brokenLogin() []brokenApp {
	never := func(_ string, known bool, _ string) bool { return !known }
	stranger := func(is string, known bool, _ string) bool { return known && is == "" }
	same := func(is string, _ bool, user string) bool { return is == user }
	other := func(is string, known bool, user string) bool { return known && is != "" && is != user }
	const (
		adopts    = "a login does not adopt an identifier that the site never issued"
		ofOther   = "a login as another user leaves nothing of the first"
		ends      = "a logout ends the session"
		elsewhere = "a logout ends the session on every route"
		deleted   = "the cookie is deleted with the attributes it was set with"
	)
	broken := []brokenApp{
		{adopts, "adopts it", "same value after the login", func(s *site) { s.loginWhen(never, s.keep) }, nil},
		{adopts, "makes another and adopts it", "after the login it logs in", func(s *site) { s.loginWhen(never, s.both) }, nil},
		{"a login replaces the identifier of a stranger", "keeps it", "same value after the login", func(s *site) { s.loginWhen(stranger, s.keep) }, nil},
		{"a login ends the identifier of a stranger", "logs it in too", "the old identifier still logs in", func(s *site) { s.loginWhen(stranger, s.both) }, nil},
		{"a second login replaces the identifier", "keeps it", "same value after a second login", func(s *site) { s.loginWhen(same, s.keep) }, nil},
		{"a second login ends the identifier from before", "forgets it", "the first identifier still logs in", func(s *site) { s.loginWhen(same, s.besides) }, nil},
		{ofOther, "forgets the first session", "the browser of user 0, and the old identifier still logs in", func(s *site) { s.loginWhen(other, s.besides) }, nil},
		{ofOther, "keeps the identifier", "same value after user 1", func(s *site) { s.loginWhen(other, s.keep) }, nil},
		{ofOther, "keeps the data", "shows the Marker of user 0", func(s *site) { keepData(s, other) }, nil},

		{ends, "only takes the cookie away", "the old identifier still logs in", func(s *site) {
			s.logout = func(w http.ResponseWriter, _ string) { s.unset(w) }
		}, nil},
		{ends, "breaks when there is nothing to end", "answered 500", func(s *site) {
			s.deadLogout(func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) })
		}, nil},
		{ends, "revives what it does not know", "after a second logout", func(s *site) {
			s.deadLogout(func(_ http.ResponseWriter, token string) { s.put(token, s.user(0)) })
		}, nil},
		{elsewhere, "one route remembers", "GET /settings is answered 200 with", func(s *site) { remember(s) }, nil},
		{elsewhere, "one route greets whom it remembers", "GET /settings is answered 401 with", func(s *site) {
			s.settings = func(w http.ResponseWriter, r *http.Request) {
				token := s.find(r)
				user, _ := s.lookup(token)
				remembered := s.remembered(token, user)
				s.private(w.Header())
				w.WriteHeader(http.StatusUnauthorized)
				if remembered != "" {
					_, _ = fmt.Fprintf(w, "Hello, %s!", remembered)
				}
			}
		}, nil},
		{"a logout takes the cookie from the browser", "leaves it there", "leaves the cookie", func(s *site) {
			s.logout = func(_ http.ResponseWriter, token string) { s.drop(token) }
		}, nil},
		{deleted, "sets it again", "or sets it again", setAgain, nil},
	}
	for name, undo := range map[string]func(c *http.Cookie){
		"Path":        func(c *http.Cookie) { c.Path = "/private" },
		"Domain":      func(c *http.Cookie) { c.Domain = "example.com" },
		"Secure":      func(c *http.Cookie) { c.Secure = false },
		"HttpOnly":    func(c *http.Cookie) { c.HttpOnly = false },
		"Partitioned": func(c *http.Cookie) { c.Partitioned = true },
	} {
		broken = append(broken, brokenApp{deleted, "another " + name, "another " + name, func(s *site) { s.undo = undo }, nil})
	}
	return broken
}

// deadLogout does something where a logout comes with an identifier that is
// unknown.
func (s *site) deadLogout(do func(w http.ResponseWriter, token string)) {
	s.around = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token := s.find(r)
			if _, known := s.lookup(token); r.URL.Path == "/logout" && token != "" && !known {
				do(w, token)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// keepData shows a user on /settings what another one left in the browser.
func keepData(s *site, other func(is string, known bool, user string) bool) {
	left := make(map[string]string)
	s.loginWhen(other, func(old, user string) string {
		was, _ := s.lookup(old)
		token := s.replace(old, user)
		s.mu.Lock()
		defer s.mu.Unlock()
		left[token] = was
		return token
	})
	s.settings = func(w http.ResponseWriter, r *http.Request) {
		token := s.find(r)
		s.mu.Lock()
		was := left[token]
		s.mu.Unlock()
		if was == "" {
			s.account(w, r)
			return
		}
		s.private(w.Header())
		_, _ = fmt.Fprintf(w, "Hello, %s!", was)
	}
}

func (s *site) remembered(token, user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user != "" {
		s.ever[token] = user
	}
	return s.ever[token]
}

// remember lets in on /settings whoever was there when they were logged in, or
// logged in at all.
func remember(s *site) {
	s.settings = func(w http.ResponseWriter, r *http.Request) {
		token := s.find(r)
		user, _ := s.lookup(token)
		if s.remembered(token, user) == "" {
			s.account(w, r)
			return
		}
		s.private(w.Header())
		_, _ = fmt.Fprint(w, "Your settings.")
	}
}

// setAgain sets the cookie on the page behind a logout.
func setAgain(s *site) {
	var mu sync.Mutex
	again := ""
	s.logout = func(w http.ResponseWriter, token string) {
		mu.Lock()
		defer mu.Unlock()
		again = token
		s.end(w, token)
	}
	s.around = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if r.URL.Path == "/about" && again != "" {
				s.set(w, again)
				again = ""
			}
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}
}
