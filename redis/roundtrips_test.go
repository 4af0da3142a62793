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

// TestRoundTrips counts on the server what each kind of request costs. What
// scripts call is not counted: it costs no round trip.
func TestRoundTrips(t *testing.T) {
	server, client := single(t)
	m := &session.Manager{Store: &redis.Store{Client: client}, Propagator: &cookie.Propagator{}}
	var s session.Session
	handlers := []struct {
		name    string
		cookie  string // empty: that of the login
		want    map[string]int64
		handler func(ctx *mist.Context) error
	}{
		{"login", "none", map[string]int64{"evalsha": 1}, func(ctx *mist.Context) (err error) {
			s, err = m.InitSession(ctx)
			return err
		}},
		{"login with values", "none", map[string]int64{"evalsha": 2}, func(ctx *mist.Context) (err error) {
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
			count := redistest.Commands(t, server)
			mux.ServeHTTP(httptest.NewRecorder(), r)
			got := count()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"hgetall", "evalsha", "eval", "unlink"} {
				if got[name].Calls != tt.want[name] {
					t.Errorf("%s: got %d, want %d", name, got[name].Calls, tt.want[name])
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
	err = errors.Join(
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
