package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// everywhere runs a test on one server and on a Cluster.
func everywhere(t *testing.T, run func(t *testing.T, a *arena)) {
	t.Helper()
	t.Run("standalone", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		run(t, &arena{client: newClient(t, "redis://"+server.Addr+patient), servers: []*redistest.Server{server}})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		set := redistest.StartCluster(t, nodeTimeout)
		run(t, &arena{client: newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")+patient), servers: set.Nodes[:3]})
	})
}

// loggedIn returns a new session of a user.
func loggedIn(t *testing.T, st *redis.Store, l session.Login) session.Session {
	t.Helper()
	s, err := st.Login(t.Context(), session.Token(generate(t, st)), l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLogin(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		first := generate(t, st)
		if err := first.Set(ctx, "cart", 3); err != nil {
			t.Fatal(err)
		}
		rotated, err := st.Rotate(ctx, session.Token(first), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now().Truncate(time.Millisecond)
		s, err := st.Login(ctx, session.Token(rotated), session.Login{
			User: "alice\x00\n{}", Level: 3, IdleTimeout: 2 * time.Hour, AbsoluteTimeout: 3 * time.Hour,
			Persistent: true, UserAgent: "a\nb", Address: "192.0.2.0/24",
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.ID() != first.ID() || session.Token(s) == session.Token(rotated) {
			t.Error("another session, or the old token")
		}
		if v, err := s.Get(ctx, "cart"); err != nil || v != 3 {
			t.Errorf("values: got %v, %v", v, err)
		}
		if err := first.Set(ctx, "later", 1); err != nil {
			t.Errorf("Set by who loaded it before: %v", err)
		}
		for _, old := range []session.Session{first, rotated} {
			if _, err := st.Open(ctx, session.Token(old)); !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrReused) {
				t.Errorf("Open with a token from before: got %v, want ErrNotFound", err)
			}
		}
		opened := open(t, st, session.Token(s))
		info := described(t, opened)
		if info != described(t, s) {
			t.Errorf("Login shows %+v, Open %+v", described(t, s), info)
		}
		at := info.AuthenticatedAt
		want := session.Info{
			ID: first.ID(), User: "alice\x00\n{}", Level: 3, CreatedAt: described(t, first).CreatedAt,
			LastSeen: at, IdleDeadline: at.Add(2 * time.Hour), AbsoluteDeadline: at.Add(3 * time.Hour), AuthenticatedAt: at, RotatedAt: at,
			Persistent: true, UserAgent: "a\nb", Address: "192.0.2.0/24",
		}
		if info != want || at.Before(began) || at.After(time.Now()) {
			t.Errorf("got %+v, want %+v, between %v and now", info, want, began)
		}
		infos, err := st.UserSessions(ctx, "alice\x00\n{}")
		if err != nil || len(infos) != 1 || infos[0] != want {
			t.Errorf("UserSessions: got %+v, %v, want %+v", infos, err, want)
		}
		if n, err := st.RemoveUserSessions(ctx, "alice\x00\n{}"); n != 1 || err != nil {
			t.Errorf("RemoveUserSessions: got %d, %v", n, err)
		}
		if _, err := st.Open(ctx, session.Token(s)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Open after the revocation: got %v, want ErrNotFound", err)
		}
		if infos, err := st.UserSessions(ctx, "alice\x00\n{}"); err != nil || len(infos) != 0 {
			t.Errorf("UserSessions after the revocation: got %v, %v", infos, err)
		}
	})
}
