package sessionaudit

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// A site is a small application on net/http and a map, of which each part can be
// replaced by a bad one. As it is it passes the audit.
type site struct {
	mu       sync.Mutex
	sessions map[string]string // identifier: user; "" for a stranger with a cart
	ever     map[string]string // the same of the past

	name string
	// cross refuses the requests of other sites.
	cross func(next http.Handler) http.Handler
	// around is around everything.
	around func(next http.Handler) http.Handler
	// make returns a new identifier.
	make func() string
	// find returns the identifier of a request.
	find func(r *http.Request) string
	// adorn changes the cookie before it is set, and undo the one that deletes it.
	adorn, undo func(c *http.Cookie)
	// secure adds headers to an answer that sets the cookie, and private to a page
	// of a user.
	secure, private func(h http.Header)
	// login returns the identifier of a login, of a browser that has old.
	login func(old, user string) string
	// logout ends a session.
	logout func(w http.ResponseWriter, token string)
	// greet answers with the page of a user, or of nobody.
	greet func(w http.ResponseWriter, r *http.Request, user string)
	// settings answers with another private page.
	settings func(w http.ResponseWriter, r *http.Request)
	// out says which method logs out.
	out func(r *http.Request) bool
	// offer is what a login says to browsers that bind, and routes adds what they ask for.
	offer  func(w http.ResponseWriter, token string)
	routes func(mux *http.ServeMux)
}

func newSite() *site {
	s := &site{
		sessions: make(map[string]string),
		ever:     make(map[string]string),
		name:     "__Host-Http-id",
		cross:    http.NewCrossOriginProtection().Handler,
		around:   func(next http.Handler) http.Handler { return next },
		make:     rand.Text,
		adorn:    func(*http.Cookie) {},
		undo:     func(*http.Cookie) {},
		secure: func(h http.Header) {
			h.Set("Cache-Control", "no-store")
			h.Add("Vary", "Cookie")
		},
		private: func(h http.Header) { h.Set("Cache-Control", "no-store") },
		out:     func(r *http.Request) bool { return r.Method == http.MethodPost },
		offer:   func(http.ResponseWriter, string) {},
		routes:  func(*http.ServeMux) {},
	}
	s.find, s.login, s.logout, s.greet, s.settings = s.fromCookie, s.replace, s.end, s.page, s.account
	return s
}

// app tells the audit how it is used.
func (s *site) app() App {
	return App{
		Login: func(_ *Browser, user int) *http.Request { return Form("/login", "user", s.user(user)) },
		Logout: func(*Browser) *http.Request {
			return Form("/logout")
		},
		Anonymous: func(*Browser) *http.Request { return Form("/cart") },
		Private:   "/private",
		Routes:    []string{"/settings", "/about"},
		Marker:    func(user int) string { return "Hello, " + s.user(user) + "!" },
	}
}

func (*site) user(i int) string { return [...]string{"ada", "grace"}[i] }

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		token := s.login(s.find(r), r.PostFormValue("user"))
		s.set(w, token)
		s.offer(w, token)
		http.Redirect(w, r, "/private", http.StatusSeeOther)
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		token := s.find(r)
		if _, known := s.lookup(token); !known || !s.out(r) {
			http.Error(w, "You are not logged in.", http.StatusUnauthorized)
			return
		}
		s.logout(w, token)
		http.Redirect(w, r, "/about", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		if _, known := s.lookup(s.find(r)); !known {
			s.set(w, s.begin(""))
		}
		_, _ = fmt.Fprint(w, "It is in your cart.")
	})
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		user, _ := s.lookup(s.find(r))
		s.greet(w, r, user)
	})
	mux.HandleFunc("/settings", func(w http.ResponseWriter, r *http.Request) { s.settings(w, r) })
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "A small site.") })
	s.routes(mux)
	return s.around(s.cross(mux))
}

func (s *site) fromCookie(r *http.Request) string {
	var found []string
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if name, value, _ := strings.Cut(strings.Trim(pair, " "), "="); name == s.name {
				found = append(found, value)
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

func (s *site) lookup(token string) (user string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, known = s.sessions[token]
	return user, known
}

func (s *site) put(token, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[token] = user
}

func (s *site) drop(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, token)
}

func (s *site) begin(user string) string {
	token := s.make()
	s.put(token, user)
	return token
}

func (s *site) replace(old, user string) string {
	s.drop(old)
	return s.begin(user)
}

func (s *site) set(w http.ResponseWriter, token string) {
	c := &http.Cookie{Name: s.name, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	s.adorn(c)
	http.SetCookie(w, c)
	s.secure(w.Header())
}

func (s *site) unset(w http.ResponseWriter) {
	c := &http.Cookie{Name: s.name, MaxAge: -1, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	s.undo(c)
	http.SetCookie(w, c)
	s.secure(w.Header())
}

func (s *site) end(w http.ResponseWriter, token string) {
	s.drop(token)
	s.unset(w)
}

func (s *site) page(w http.ResponseWriter, _ *http.Request, user string) {
	if user == "" {
		http.Error(w, "Please log in.", http.StatusUnauthorized)
		return
	}
	s.private(w.Header())
	_, _ = fmt.Fprintf(w, `Hello, %s! <a href="/settings">Settings</a>`, user)
}

func (s *site) account(w http.ResponseWriter, r *http.Request) {
	user, _ := s.lookup(s.find(r))
	if user == "" {
		http.Redirect(w, r, "/about", http.StatusSeeOther)
		return
	}
	s.private(w.Header())
	_, _ = fmt.Fprint(w, "Your settings.")
}
