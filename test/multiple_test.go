package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// A visitor whose browser has two cookies of the name, since a deploy that changed the
// path, leaves no session behind however often they try; when the application expires
// the former cookie they can log in again.
func TestTwoCookies(t *testing.T) {
	st := &memory.Store{MaxSessions: 3}
	var kinds []session.EventKind
	m := &session.Manager{
		Store: st, Propagator: &cookie.Propagator{Insecure: true},
		OnEvent: func(_ context.Context, e session.Event) { kinds = append(kinds, e.Kind) },
	}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware())
	cured := false
	page := func(flow func(ctx *mist.Context) error) mist.HandleFunc {
		return func(ctx *mist.Context) {
			err := flow(ctx)
			switch {
			case errors.Is(err, session.ErrMultiple) && cured:
				http.SetCookie(ctx.ResponseWriter, &http.Cookie{Name: "session", Path: "/app", MaxAge: -1})
				fallthrough
			case errors.Is(err, session.ErrMultiple):
				ctx.AbortWithStatus(http.StatusConflict)
			case err != nil:
				t.Errorf("got %v, want ErrMultiple", err)
			}
		}
	}
	server.GET("/app/login", page(webtest.LogIn(m, "ada")))
	server.GET("/app/logout", page(m.RemoveSession))
	server.GET("/app/begin", page(func(ctx *mist.Context) error {
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			return err
		}
		_, err := m.InitSession(ctx)
		return err
	}))
	server.GET("/app/password", page(func(ctx *mist.Context) error {
		_, _, err := m.PasswordChanged(ctx, session.Login{User: "ada"})
		return err
	}))
	s := webtest.Listen(t, false, server)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	visitor := s.Visitor(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	visitor.Jar = jar
	status := func(path string) int {
		resp, _ := s.Fetch(t, visitor, path)
		return resp.StatusCode
	}
	if got := status("/app/login"); got != http.StatusOK {
		t.Fatalf("the first login: got status %d", got)
	}
	secret := strings.Repeat("A", 26)
	jar.SetCookies(at, []*http.Cookie{{Name: "session", Value: "former." + secret, Path: "/app"}})
	kinds = nil
	for range 3 {
		for _, path := range []string{"/app/login", "/app/begin", "/app/logout", "/app/password"} {
			if got := status(path); got != http.StatusConflict {
				t.Errorf("%s: got status %d, want 409 by ErrMultiple", path, got)
			}
		}
	}
	for _, kind := range kinds {
		if kind != session.EventDuplicate {
			t.Errorf("got the event %s, want none but duplicate", kind)
		}
	}
	if len(kinds) != 12 {
		t.Errorf("got %d events, want one for each request", len(kinds))
	}
	if list, err := st.UserSessions(t.Context(), "ada"); err != nil || len(list) != 1 {
		t.Errorf("ada has %d sessions, %v, want that of the first login", len(list), err)
	}
	for _, id := range []string{"a", "b", "c"} { // two more is what the store holds
		if _, err := st.Generate(t.Context(), id); (err != nil) != (id == "c") {
			t.Errorf("Generate %s: %v", id, err)
		}
	}
	_ = errors.Join(st.Remove(t.Context(), "a"), st.Remove(t.Context(), "b"))
	cured = true
	if got := status("/app/login"); got != http.StatusConflict {
		t.Errorf("the request that expires the former cookie: got status %d, want 409", got)
	}
	for _, path := range []string{"/app/login", "/app/logout", "/app/login"} {
		if got := status(path); got != http.StatusOK {
			t.Errorf("%s, afterwards: got status %d, want 200", path, got)
		}
	}
}

// A deploy that changes the path of the cookie names the former one. A visitor with both
// cookies is refused once, and then has the session of the one that stays. The response of
// that request expires the former, whoever asks for the session and whenever.
func TestFormerCookie(t *testing.T) {
	for name, behind := range map[string]bool{"behind the Middleware": true, "without it": false} {
		t.Run(name, func(t *testing.T) {
			m := &session.Manager{
				Store:      &memory.Store{},
				Propagator: session.Chain{&cookie.Propagator{Insecure: true, Former: []cookie.Former{{Path: "/app"}}}, &header.Propagator{}},
			}
			before := &cookie.Propagator{Insecure: true, Path: "/app"}
			get := func(ctx *mist.Context) error { _, err := m.GetSession(ctx); return err }
			asks := map[string]func(ctx *mist.Context) error{
				"GetSession": get,
				"User":       func(ctx *mist.Context) error { _, err := m.User(ctx); return err },
				"Login":      webtest.LogIn(m, "ada"),
				"after other headers": func(ctx *mist.Context) error {
					ctx.ResponseWriter.Header().Set("Vary", "Accept")
					return errors.Join(get(ctx), get(ctx))
				},
				"many at once": func(ctx *mist.Context) error {
					all := make(chan error, 16)
					for range cap(all) {
						go func() { all <- get(ctx) }()
					}
					var err error
					for range cap(all) {
						err = errors.Join(err, <-all)
					}
					return err
				},
			}
			if behind {
				asks["FromContext"] = func(ctx *mist.Context) error {
					_, err := session.FromContext(ctx.Request.Context())
					return err
				}
				asks["GetSession, and then a body"] = func(ctx *mist.Context) error {
					err := get(ctx)
					_, _ = io.WriteString(ctx.ResponseWriter, "body")
					return err
				}
			}
			server := mist.InitHTTPServer()
			if behind {
				server.Use(m.Middleware())
			}
			var got error
			for ask, do := range asks {
				server.GET("/app/"+strings.ReplaceAll(ask, " ", "-"), func(ctx *mist.Context) { got = do(ctx) })
			}
			server.GET("/app/before", func(ctx *mist.Context) {
				got = before.Inject("former."+strings.Repeat("A", 26), ctx.ResponseWriter)
			})
			server.GET("/", func(ctx *mist.Context) { got = webtest.LogIn(m, "bob")(ctx) })
			server.GET("/app/who", func(ctx *mist.Context) {
				var user string
				if user, got = m.User(ctx); user != "" && user != "bob" {
					t.Errorf("got the session of %s", user)
				}
			})
			s := webtest.Listen(t, false, server)
			for ask := range asks {
				browser := s.Visitor(t)
				visit := func(path string) error {
					s.Fetch(t, browser, path)
					return got
				}
				// In this order: setting the present cookie expires the former.
				if err := errors.Join(visit("/"), visit("/app/before")); err != nil {
					t.Fatal(err)
				}
				if err := visit("/app/" + strings.ReplaceAll(ask, " ", "-")); !errors.Is(err, session.ErrMultiple) {
					t.Errorf("%s: got %v, want ErrMultiple", ask, err)
				}
				if err := visit("/app/who"); err != nil {
					t.Errorf("%s: got %v for the next request, want the session", ask, err)
				}
			}
		})
	}
}
