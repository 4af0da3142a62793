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
	index := set.MasterOf(t, "session:"+strings.TrimPrefix(indexOf(st, "ada"), st.Prefix))
	for i := range 20 { // so that all masters know the scripts
		user := fmt.Sprint("warm", i)
		for range 3 {
			loggedIn(t, st, session.Login{User: user})
		}
		if _, err := st.RemoveUserSessions(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	kills := make(map[*redistest.Server]int64)
	check := func(what string, noted int64, others map[*redistest.Server]int64, f func() error) {
		t.Helper()
		want := maps.Clone(others)
		want[index] += noted
		if got := count(f); !maps.Equal(got, want) {
			t.Errorf("%s: WAIT %v times on the masters, want %v", what, slices.Collect(maps.Values(got)), slices.Collect(maps.Values(want)))
		}
	}
	login := func(l session.Login) (of *redistest.Server, call func() error) {
		s := generate(t, st)
		return set.MasterOf(t, "session:"+s.ID()), func() error { return errorOf(st.Login(t.Context(), session.Token(s), l)) }
	}
	for range 8 {
		of, call := login(session.Login{User: "ada"})
		check("Login", 1, map[*redistest.Server]int64{of: 1}, call)
		kills[of]++
	}
	of, call := login(session.Login{User: "ada", MaxSessions: 1, EndOldest: true})
	kills[of]++
	check("Login in place of others", 2, kills, call)
	check("RemoveUserSessions", 1, kills, func() error { return errorOf(st.RemoveUserSessions(t.Context(), "ada")) })
}

// A refusal has changed nothing, so no replica has to have it.
func TestWaitRefusedLogin(t *testing.T) {
	t.Parallel()
	client := newClient(t, "redis://"+redistest.Start(t).Addr+patient) // without a replica
	st := &redis.Store{Client: client, WaitReplicas: 1, OpTimeout: 4 * time.Second}
	alone := &redis.Store{Client: client, OpTimeout: patience}
	s := generate(t, alone)
	mine := loggedIn(t, alone, session.Login{User: "ada"})
	began := time.Now().Add(-time.Second)
	if _, err := alone.RemoveUserSessions(t.Context(), "ada", mine.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Login(t.Context(), session.Token(s), session.Login{User: "ada", Began: began}); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("got %v, want ErrRevoked", err)
	}
	if _, err := st.Login(t.Context(), session.Token(s), session.Login{User: "ada", MaxSessions: 1}); !errors.Is(err, session.ErrUserLimit) {
		t.Errorf("got %v, want ErrUserLimit", err)
	}
	if _, err := st.Login(t.Context(), session.Token(s), session.Login{User: "ada"}); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("a login that no replica has: got %v, want a failure", err)
	}
}
