package redis_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// Every step of what concerns a user waits, each for the master of its key.
func TestWaitUsers(t *testing.T) {
	t.Parallel()
	set, st := onCluster(t)
	masters := set.Nodes[:3]
	count := func(f func() error) map[*redistest.Server]int64 {
		t.Helper()
		var used []func() redistest.Stats
		for _, node := range masters {
			used = append(used, redistest.Commands(t, node))
		}
		if err := f(); err != nil {
			t.Fatal(err)
		}
		waits := make(map[*redistest.Server]int64)
		for i, node := range masters {
			if n := used[i]()["wait"].Calls; n > 0 {
				waits[node] = n
			}
		}
		return waits
	}
	home := set.MasterOf(t, indexOf(st, "ada"))
	for i := range 20 { // so that all masters know the scripts
		user := fmt.Sprint("warm", i)
		for range 3 {
			loggedIn(t, st, session.Login{User: user})
		}
		if _, err := st.RemoveUserSessions(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want map[*redistest.Server]int64, f func() error) {
		t.Helper()
		if got := count(f); !maps.Equal(got, want) {
			t.Errorf("%s: WAIT %v times on the masters, want %v", what, slices.Collect(maps.Values(got)), slices.Collect(maps.Values(want)))
		}
	}
	var in session.Session
	login := func(token string, l session.Login) func() error {
		l.User = "ada"
		return func() (err error) {
			in, err = st.Login(t.Context(), token, l)
			return err
		}
	}
	atHome := func(n int64) map[*redistest.Server]int64 { return map[*redistest.Server]int64{home: n} }
	for range 8 {
		s := generate(t, st)
		want := atHome(1)
		want[set.MasterOf(t, keyOf(st, s.ID()))]++ // which may be the same
		check("Login", want, login(session.Token(s), session.Login{}))
	}
	check("Login from nothing", atHome(1), login("", session.Login{}))
	check("Login again", atHome(1), login(session.Token(in), session.Login{}))
	check("Login in place of others", atHome(2), login("", session.Login{MaxSessions: 1, EndOldest: true}))
	if err := st.Refresh(t.Context(), in.ID()); err != nil { // and the script, with a home
		t.Fatal(err)
	}
	check("Refresh", atHome(1), func() error { return st.Refresh(t.Context(), in.ID()) })
	check("UserSessions", map[*redistest.Server]int64{}, func() error { return errorOf(st.UserSessions(t.Context(), "ada")) })
	check("Remove", atHome(1), func() error { return st.Remove(t.Context(), in.ID()) })
	check("RemoveUserSessions", atHome(2), func() error { return errorOf(st.RemoveUserSessions(t.Context(), "ada")) })
}

// A refusal has changed nothing, so no replica has to have it.
func TestWaitRefusedLogin(t *testing.T) {
	t.Parallel()
	client := newClient(t, "redis://"+redistest.Start(t).Addr+patient) // without a replica
	st := &redis.Store{Client: client, WaitReplicas: 1, OpTimeout: 2 * time.Second}
	alone := &redis.Store{Client: client, OpTimeout: patience}
	s := generate(t, alone)
	mine := loggedIn(t, alone, session.Login{User: "ada"})
	began := time.Now().Add(-time.Second)
	if _, err := alone.RemoveUserSessions(t.Context(), "ada", mine.ID()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token string
		l     session.Login
		want  error
	}{
		{"", session.Login{Began: began}, session.ErrRevoked},
		{"", session.Login{MaxSessions: 1}, session.ErrUserLimit},
		{"", session.Login{ID: mine.ID()[17:]}, session.ErrExists},
		{session.Token(mine), session.Login{Began: began}, session.ErrRevoked},
		{mine.ID() + ".ABCDEFGHIJKLMNOPQRSTUVWXYZ", session.Login{}, session.ErrNotFound},
		{s.ID() + ".ABCDEFGHIJKLMNOPQRSTUVWXYZ", session.Login{}, session.ErrNotFound},
	} {
		c.l.User = "ada"
		if _, err := st.Login(t.Context(), c.token, c.l); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
	open(t, alone, session.Token(s)) // each of those gave it back; after a failure it may be gone
	for what, token := range map[string]string{"nothing": "", "an anonymous session": session.Token(s), "its own": session.Token(mine)} {
		if _, err := st.Login(t.Context(), token, session.Login{User: "ada"}); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("a login from %s, that no replica has: got %v, want a failure", what, err)
		}
	}
}

// Writes that wait for replicas are pipelines, and use the connections of all other
// commands.
func TestWaitConnections(t *testing.T) {
	t.Parallel()
	_, master, _ := replicated(t)
	st := &redis.Store{Client: newClient(t, "redis://"+master.Addr+patient+"&client_name=mine"), WaitReplicas: 1, OpTimeout: patience}
	s := generate(t, st)
	open(t, st, session.Token(s))
	list, _ := master.MustDo(t, "CLIENT", "LIST").(string)
	if n := strings.Count(list, " name=mine "); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}
