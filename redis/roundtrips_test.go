package redis_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestRoundTrips counts on the wire what each kind of request costs. What is sent
// together, as to end many sessions, counts as many.
func TestRoundTrips(t *testing.T) {
	server := redistest.Start(t)
	w, client := wired(t, server)
	m := &session.Manager{Store: &redis.Store{Client: client}, Propagator: &cookie.Propagator{}}
	var s session.Session
	handlers := []struct {
		name    string
		cookie  string // empty: that of the login
		want    map[string]int64
		handler func(ctx *mist.Context) error
	}{
		{"session", "none", map[string]int64{"evalsha": 1}, func(ctx *mist.Context) (err error) {
			s, err = m.InitSession(ctx)
			return err
		}},
		{"session with values", "none", map[string]int64{"evalsha": 2}, func(ctx *mist.Context) (err error) {
			if s, err = m.InitSession(ctx); err != nil {
				return err
			}
			return session.SetAll(ctx.Request.Context(), s, map[string]any{"user": "alice", "theme": "dark", "visits": 1})
		}},
		{"read", "", map[string]int64{"hgetall": 1}, func(ctx *mist.Context) error {
			s, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			for _, key := range []string{"user", "theme", "absent"} {
				if _, err := s.Get(ctx.Request.Context(), key); err != nil {
					return err
				}
			}
			_, err = m.GetSession(ctx)
			return err
		}},
		{"write", "", map[string]int64{"hgetall": 1, "evalsha": 1}, func(ctx *mist.Context) error {
			s, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			return s.Set(ctx.Request.Context(), "theme", "light")
		}},
		{"update", "", map[string]int64{"hgetall": 1, "evalsha": 1}, func(ctx *mist.Context) error {
			s, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			return session.Update(ctx.Request.Context(), s, "visits", func(old any) (any, error) {
				n, _ := old.(int)
				return n + 1, nil
			})
		}},
		{"refresh", "", map[string]int64{"hgetall": 1, "evalsha": 1}, m.RefreshSession},
		{"login", "", map[string]int64{"hgetall": 1, "evalsha": 2}, func(ctx *mist.Context) (err error) {
			s, err = m.Login(ctx, "ada")
			return err
		}},
		{"reauthentication", "", map[string]int64{"hgetall": 1, "evalsha": 2}, func(ctx *mist.Context) (err error) {
			s, err = m.Reauthenticate(ctx, 2)
			return err
		}},
		{"login of nobody", "none", map[string]int64{"evalsha": 3}, func(ctx *mist.Context) error {
			_, err := m.Login(ctx, "ada")
			return err
		}},
		{"devices", "", map[string]int64{"hgetall": 2, "hmget": 2}, func(ctx *mist.Context) error {
			if _, err := m.GetSession(ctx); err != nil {
				return err
			}
			infos, err := m.UserSessions(ctx, "ada")
			if len(infos) != 2 || infos[0].Current == infos[1].Current {
				t.Errorf("got %d devices, want two, this one and another", len(infos))
			}
			return err
		}},
		{"sign out everywhere else", "", map[string]int64{"hgetall": 1, "evalsha": 1, "eval": 2, "zrange": 1}, func(ctx *mist.Context) error {
			_, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			n, err := m.RemoveUserSessions(ctx, "ada", s.ID())
			if n != 1 {
				t.Errorf("got %d sessions ended, want 1", n)
			}
			return err
		}},
		{"anonymous", "none", nil, anonymous(m)},
		{"malformed", "x", nil, anonymous(m)},
		{"no secret", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", nil, anonymous(m)},
		{"unknown", "6ba7b810-9dad-41d1-80b4-00c04fd430c8.ABCDEFGHIJKLMNOPQRSTUVWXYZ", map[string]int64{"hgetall": 1}, anonymous(m)},
		{"logout", "", map[string]int64{"hgetall": 1, "unlink": 1}, m.RemoveSession},
	}
	warm(t, client)
	for _, tt := range handlers {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			mux := mist.InitHTTPServer()
			mux.GET("/", func(ctx *mist.Context) { err = tt.handler(ctx) })
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			switch tt.cookie {
			case "none":
			case "":
				r.AddCookie(&http.Cookie{Name: "__Host-Http-session", Value: session.Token(s)})
			default:
				r.AddCookie(&http.Cookie{Name: "__Host-Http-session", Value: tt.cookie})
			}
			w.take(t)
			mux.ServeHTTP(httptest.NewRecorder(), r)
			got := make(map[string]int64)
			for _, words := range w.take(t) {
				got[words[0]]++
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"hgetall", "evalsha", "eval", "unlink", "hmget", "zrange"} {
				if got[name] != tt.want[name] {
					t.Errorf("%s: got %d, want %d", name, got[name], tt.want[name])
				}
			}
			if len(tt.want) == 0 && len(got) > 0 {
				t.Errorf("got %v, want no command at all", got)
			}
		})
	}
}

// warm makes the server know the scripts, and the client have a connection.
func warm(t *testing.T, client redis.Client) {
	t.Helper()
	st := &redis.Store{Client: client, Prefix: "warm:"}
	s, err := st.Generate(t.Context(), "warm")
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Login(t.Context(), session.Token(s), session.Login{User: "warm"})
	err = errors.Join(
		err,
		errorOf(st.RemoveUserSessions(t.Context(), "warm", "warm")),
		s.Set(t.Context(), "k", 1),
		session.Update(t.Context(), s, "k", func(any) (any, error) { return 2, nil }),
		st.Refresh(t.Context(), "warm"),
		st.Remove(t.Context(), "warm"),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// anonymous is a handler that wants nobody to be logged in.
func anonymous(m *session.Manager) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			return fmt.Errorf("got %w, want ErrNotFound", err)
		}
		return nil
	}
}
