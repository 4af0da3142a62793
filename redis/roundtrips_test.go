package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormoron/mist"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestRoundTrips counts on the wire what each kind of request costs: its commands, and
// how often it waits for the server. What is sent together is one trip.
func TestRoundTrips(t *testing.T) {
	server := redistest.Start(t)
	w, client := wired(t, server)
	trips := new(tripCounter)
	client.AddHook(trips)
	st := &redis.Store{Client: client}
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
	devices := &session.Manager{Store: st, Propagator: &cookie.Propagator{Name: "__Host-session"}, DeviceBound: time.Hour}
	var s session.Session
	keep := func(made session.Session, err error) error {
		if err == nil {
			s = made
		}
		return err
	}
	login := func(l session.Login) func(ctx *mist.Context) error {
		return func(ctx *mist.Context) error { return keep(m.LoginWith(ctx, l)) }
	}
	nobody := func(l session.Login) func(ctx *mist.Context) error {
		return func(ctx *mist.Context) error { return errorOf(m.LoginWith(ctx, l)) }
	}
	values := map[string]any{"theme": "dark", "visits": 1, "cart": "x"}
	handlers := []struct {
		name    string
		cookie  string // empty: that of the session
		trips   int64
		want    map[string]int64
		handler func(ctx *mist.Context) error
	}{
		{"session", "none", 1, map[string]int64{"evalsha": 1}, func(ctx *mist.Context) error { return keep(m.InitSession(ctx)) }},
		{"logout, anonymous", "", 2, map[string]int64{"hgetall": 1, "unlink": 1}, m.RemoveSession},
		{"session with values", "none", 2, map[string]int64{"evalsha": 2}, func(ctx *mist.Context) error {
			if err := keep(m.InitSession(ctx)); err != nil {
				return err
			}
			return session.SetAll(ctx.Request.Context(), s, values)
		}},
		{"read, anonymous", "", 1, map[string]int64{"hgetall": 1}, reads(m)},
		{"write, anonymous", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, writes(m)},
		{"refresh, anonymous", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, m.RefreshSession},
		{"login", "", 3, map[string]int64{"hgetall": 1, "evalsha": 2}, login(session.Login{User: "ada"})},
		{"read", "", 1, map[string]int64{"hgetall": 1}, reads(m)},
		{"write", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, writes(m)},
		{"update", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, func(ctx *mist.Context) error {
			s, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			return session.Update(ctx.Request.Context(), s, "visits", addOne)
		}},
		{"refresh", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, m.RefreshSession},
		{"login of nobody", "none", 1, map[string]int64{"evalsha": 1}, nobody(session.Login{User: "ada"})},
		{"login of nobody, values", "none", 1, map[string]int64{"evalsha": 1}, nobody(session.Login{User: "ada", Values: values, MaxSessions: 3})},
		{"login of the same user", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, login(session.Login{User: "ada", Values: values, MaxSessions: 3})},
		{"reauthentication", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, func(ctx *mist.Context) error {
			return keep(m.Reauthenticate(ctx, 2))
		}},
		{"login in place of the oldest", "none", 2, map[string]int64{"evalsha": 2}, nobody(session.Login{User: "ada", MaxSessions: 3, EndOldest: true})},
		{"devices", "", 3, map[string]int64{"hgetall": 1, "evalsha": 1, "hmget": 3}, func(ctx *mist.Context) error {
			if _, err := m.GetSession(ctx); err != nil {
				return err
			}
			infos, err := m.UserSessions(ctx, "ada")
			current := slices.IndexFunc(infos, func(info session.Info) bool { return info.Current })
			if len(infos) != 3 || current < 0 || infos[current].ID != s.ID() {
				t.Errorf("got %d devices, want three, one of them this one", len(infos))
			}
			return err
		}},
		{"sign out everywhere else", "", 3, map[string]int64{"hgetall": 1, "evalsha": 2}, func(ctx *mist.Context) error {
			if _, err := m.GetSession(ctx); err != nil {
				return err
			}
			n, err := m.RemoveUserSessions(ctx, "ada", s.ID())
			if n != 2 {
				t.Errorf("got %d sessions ended, want 2", n)
			}
			return err
		}},
		{"login after a revocation", "none", 2, map[string]int64{"evalsha": 2}, func(ctx *mist.Context) error {
			server.MustDo(t, "SET", revokedOf(new(redis.Store), "ada"), halfASecondAgo(), "PX", time.Hour.Milliseconds())
			return nobody(session.Login{User: "ada"})(ctx)
		}},
		{"login of another user", "", 3, map[string]int64{"hgetall": 1, "evalsha": 2}, login(session.Login{User: "bob"})},
		{"anonymous", "none", 0, nil, anonymous(m)},
		{"malformed", "x", 0, nil, anonymous(m)},
		{"no secret", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", 0, nil, anonymous(m)},
		{"unknown", "6ba7b810-9dad-41d1-80b4-00c04fd430c8.ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1, map[string]int64{"hgetall": 1}, anonymous(m)},
		{"binding", "", 2, map[string]int64{"hgetall": 1, "evalsha": 1}, func(ctx *mist.Context) error {
			if _, err := m.GetSession(ctx); err != nil {
				return err
			}
			return keep(st.Bind(ctx.Request.Context(), session.Token(s), aProof("")))
		}},
		{"read, bound, the first time", "", 1, map[string]int64{"evalsha": 1}, reads(m)},
		{"read, bound", "", 1, map[string]int64{"evalsha": 1}, reads(m)},
		{"write, bound", "", 2, map[string]int64{"evalsha": 2}, writes(m)},
		{"refresh, bound", "", 2, map[string]int64{"evalsha": 2}, m.RefreshSession},
		{"proof", "none", 3, map[string]int64{"hgetall": 1, "evalsha": 2}, func(ctx *mist.Context) error {
			return keep(devices.ProveDevice(ctx, s.ID(), func(string, time.Time) (string, error) { return "1", nil }))
		}},
		{"read, proved", "", 1, map[string]int64{"evalsha": 1}, reads(m)},
		{"logout", "", 2, map[string]int64{"evalsha": 2}, m.RemoveSession},
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
			trips.Store(0)
			mux.ServeHTTP(httptest.NewRecorder(), r)
			got := make(map[string]int64)
			for _, words := range w.take(t) {
				got[words[0]]++
			}
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if n := trips.Load(); n != tt.trips {
				t.Errorf("got %d round trips, want %d", n, tt.trips)
			}
		})
	}
}

// A tripCounter counts how often a client waits for an answer.
type tripCounter struct{ atomic.Int64 }

func (c *tripCounter) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (c *tripCounter) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.Add(1)
		return next(ctx, cmd)
	}
}

func (c *tripCounter) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		c.Add(1)
		return next(ctx, cmds)
	}
}

// reads is a handler that loads its session twice and reads it.
func reads(m *session.Manager) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		s, err := m.GetSession(ctx)
		if err != nil {
			return err
		}
		for _, key := range []string{"theme", "visits", "absent"} {
			if _, err := s.Get(ctx.Request.Context(), key); err != nil {
				return err
			}
		}
		return errorOf(m.GetSession(ctx))
	}
}

func writes(m *session.Manager) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		s, err := m.GetSession(ctx)
		if err != nil {
			return err
		}
		return s.Set(ctx.Request.Context(), "theme", "light")
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
	in, err := st.Login(t.Context(), session.Token(s), session.Login{User: "warm"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := st.Login(t.Context(), session.Token(in), session.Login{User: "warm"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Bind(t.Context(), session.Token(again), aProof("")); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		errorOf(st.Prove(t.Context(), in.ID(), aProof("1"))),
		errorOf(session.Now(t.Context(), again)),
		errorOf(st.UserSessions(t.Context(), "warm")),
		errorOf(st.RemoveUserSessions(t.Context(), "warm", in.ID())),
		again.Set(t.Context(), "k", 1),
		session.Update(t.Context(), again, "k", func(any) (any, error) { return 2, nil }),
		st.Refresh(t.Context(), in.ID()),
		st.Remove(t.Context(), in.ID()),
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
