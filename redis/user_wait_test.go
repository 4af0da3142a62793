package redis_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
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
