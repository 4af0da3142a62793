package sessionaudit

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// A sensible application keeps its sessions as most programs on net/http do: it
// reads its cookie with Request.Cookie and sets it with http.SetCookie.
type sensible struct {
	name   string
	secure bool

	mu       sync.Mutex
	sessions map[string]string // identifier: user
}

func newSensible(name string) *sensible {
	return &sensible{name: name, secure: true, sessions: make(map[string]string)}
}

func (*sensible) app() App {
	users := [...]string{"ada", "grace"}
	return App{
		Login:   func(_ *Browser, user int) *http.Request { return Form("/login", "user", users[user]) },
		Logout:  func(*Browser) *http.Request { return Form("/logout") },
		Private: "/account",
		Marker:  func(user int) string { return "Hello, " + users[user] + "!" },
	}
}

func (s *sensible) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /account", s.account)
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s.end(r)
		token := rand.Text()
		s.mu.Lock()
		s.sessions[token] = r.PostFormValue("user")
		s.mu.Unlock()
		s.setCookie(w, token, 0)
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		s.end(r)
		s.setCookie(w, "", -1)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *sensible) account(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if c, err := r.Cookie(s.name); err == nil {
		s.mu.Lock()
		user, known := s.sessions[c.Value]
		s.mu.Unlock()
		if known {
			_, _ = fmt.Fprintf(w, "Hello, %s!", user)
			return
		}
	}
	http.Error(w, "Please log in.", http.StatusUnauthorized)
}

func (s *sensible) end(r *http.Request) {
	if c, err := r.Cookie(s.name); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, c.Value)
	}
}

func (s *sensible) setCookie(w http.ResponseWriter, token string, maxAge int) {
	w.Header().Set("Cache-Control", "no-store")
	http.SetCookie(w, &http.Cookie{
		Name: s.name, Value: token, MaxAge: maxAge,
		Path: "/", Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// TestSensible: an application with the cookie parser of net/http passes, and the
// remarks are those that the parser is the cause of, and Vary.
func TestSensible(t *testing.T) {
	t.Parallel()
	want := []string{
		"a quoted cookie is no session",
		"a response that sets the cookie varies by cookies",
		"two cookies of the name are no session",
	}
	for _, c := range []struct {
		name     string
		insecure bool
	}{{"__Host-id", false}, {"id", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSensible(c.name)
			s.secure = !c.insecure
			app := s.app()
			app.Insecure = c.insecure
			Run(t, s.handler(), app)

			_, found := findings(t, s.handler(), app, 100_000)
			if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
				t.Errorf("got findings of %q, want %q", got, want)
			}
			for name, f := range found {
				if f.kind != hardening {
					t.Errorf("kind %d, want hardening: %s: %s", f.kind, name, f.text)
				}
			}
		})
	}
}
