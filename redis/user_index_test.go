package redis_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// wantIndex checks what the index of ada holds: two members for each session, and
// nothing after the last one.
func wantIndex(t *testing.T, a *arena, st *redis.Store, want ...session.Session) {
	t.Helper()
	ctx, index := t.Context(), indexOf(st, "ada")
	if n := a.client.ZCard(ctx, index).Val(); n != int64(2*len(want)) {
		t.Errorf("the index has %d members, want two for each of %d sessions", n, len(want))
	}
	last := int64(0)
	for _, s := range want {
		info := described(t, get(t, st, s.ID()))
		login := -a.client.ZScore(ctx, index, s.ID()[16:]).Val()
		if at := time.UnixMicro(int64(login)).Truncate(time.Millisecond); !at.Equal(info.AuthenticatedAt) {
			t.Errorf("the index says that the login was at %v, Describe %v", at, info.AuthenticatedAt)
		}
		ends := min(info.IdleDeadline.UnixMilli(), info.AbsoluteDeadline.UnixMilli())
		if score := a.client.ZScore(ctx, index, fmt.Sprintf("%.0f", login)).Val(); score != float64(ends) {
			t.Errorf("the index says that it ends at %.0f, Describe %d", score, ends)
		}
		if at := a.client.PExpireTime(ctx, keyOf(st, s.ID())).Val(); at.Milliseconds() != ends {
			t.Errorf("the record expires at %d, Describe says %d", at.Milliseconds(), ends)
		}
		last = max(last, ends)
	}
	if at := a.client.PExpireTime(ctx, index).Val(); len(want) > 0 && at.Milliseconds() != last {
		t.Errorf("the index expires at %d, its last session at %d", at.Milliseconds(), last)
	}
	if _, forever, err := a.keys(st); err != nil || len(forever) > 0 {
		t.Errorf("keys for ever: %q, %v", forever, err)
	}
}

func get(t *testing.T, st *redis.Store, id string) session.Session {
	t.Helper()
	s, err := st.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return s
}

// TestIndex looks at the index after everything that changes it.
func TestIndex(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		first := loggedIn(t, st, session.Login{User: "ada"})
		wantIndex(t, a, st, first)
		long, err := st.Login(ctx, "", session.Login{User: "ada", IdleTimeout: 300 * 24 * time.Hour, AbsoluteTimeout: 400 * 24 * time.Hour, ID: "1764350000000000"})
		if err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st, first, long)
		if err := st.Refresh(ctx, first.ID()); err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st, first, long)
		if long, err = st.Login(ctx, session.Token(long), session.Login{User: "ada", Reauthentication: true}); err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st, first, long)
		if long, err = st.Login(ctx, session.Token(long), session.Login{User: "ada", AbsoluteTimeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st, first, long) // it ends earlier than before
		if _, err := st.Rotate(ctx, session.Token(first), time.Hour); err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st, first, long)
		if err := st.Remove(ctx, first.ID()); err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st, long)
		if err := st.Remove(ctx, long.ID()); err != nil {
			t.Fatal(err)
		}
		wantIndex(t, a, st)
		spared, ended := loggedIn(t, st, session.Login{User: "ada"}), loggedIn(t, st, session.Login{User: "ada"})
		revokes(t, st, "ada", 1, spared.ID())
		wantIndex(t, a, st, spared)
		isAlive(t, st, ended, false, "revoked")
		if left := a.client.PTTL(ctx, revokedOf(st, "ada")).Val(); left < 2*session.BeganLimit-time.Minute || left > 2*session.BeganLimit {
			t.Errorf("a revocation is remembered for %v", left)
		}
	})
}

// TestIndexEnds lets all sessions of many users end: no key is left.
func TestIndexEnds(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		st := a.store(time.Hour)
		var last session.Session
		for i := range 300 {
			last = loggedIn(t, st, session.Login{User: fmt.Sprint("user", i%100), AbsoluteTimeout: 400 * time.Millisecond})
		}
		// What logins have taken is no index.
		for _, key := range keysOf(t, a.client) {
			if !strings.HasPrefix(key, st.Prefix) {
				continue // of another test
			}
			if left := a.client.PTTL(t.Context(), key).Val(); left > time.Minute {
				t.Errorf("%s stays for %v", key, left)
			} else if left > time.Second {
				a.client.Del(t.Context(), key)
			}
		}
		await(t, "the last has ended", func() bool { return time.Now().After(described(t, last).AbsoluteDeadline.Add(time.Second)) })
		if n, _, err := a.keys(st); err != nil || n > 0 {
			t.Errorf("%d keys are left, %v", n, err)
		}
	})
}

// TestEndedLeavesTheIndex lets sessions end beside one that lives: they do not count,
// and the calls that follow take them out.
func TestEndedLeavesTheIndex(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx := t.Context()
		calls := map[string]func(st *redis.Store, alive session.Session) error{
			"Login": func(st *redis.Store, alive session.Session) error {
				return errorOf(st.Login(ctx, session.Token(alive), session.Login{User: "ada", MaxSessions: 1}))
			},
			"Login, oldest": func(st *redis.Store, alive session.Session) error {
				return errorOf(st.Login(ctx, session.Token(alive), session.Login{
					User: "ada", MaxSessions: 1, EndOldest: true, Ended: func(string) { t.Error("what has ended was ended") },
				}))
			},
			"UserSessions": func(st *redis.Store, _ session.Session) error { return errorOf(st.UserSessions(ctx, "ada")) },
			"RemoveUserSessions": func(st *redis.Store, alive session.Session) error {
				return errorOf(st.RemoveUserSessions(ctx, "ada", alive.ID()))
			},
		}
		for name, call := range calls {
			st := a.store(time.Hour)
			alive := loggedIn(t, st, session.Login{User: "ada"})
			var last session.Session
			for range 1200 {
				s, err := st.Login(ctx, "", session.Login{User: "ada", AbsoluteTimeout: 10 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				last = s
			}
			await(t, "the last has ended", func() bool {
				_, err := st.Get(ctx, last.ID())
				return err != nil
			})
			for range 3 { // 500 at once
				if err := call(st, alive); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if name != "UserSessions" && name != "RemoveUserSessions" {
					if err := st.Remove(ctx, alive.ID()); err != nil {
						t.Error(err)
					}
					alive = loggedIn(t, st, session.Login{User: "ada"})
				}
			}
			wantIndex(t, a, st, alive)
		}
	})
}

// neighbour is a user whose keys have the same hash tag as ada's.
const neighbour = "user763990"

// TestNeighbours gives two users one hash tag: they see and end nothing of each other.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		if homeOf(neighbour)[:3] != homeOf("ada")[:3] {
			t.Fatal("they have different hash tags")
		}
		name := session.Login{User: "ada", ID: "same"}
		mine, err := st.Login(ctx, "", name)
		if err != nil {
			t.Fatal(err)
		}
		name.User = neighbour
		theirs, err := st.Login(ctx, "", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Login(ctx, "", session.Login{User: "ada", MaxSessions: 1}); err == nil {
			t.Error("no limit")
		}
		second, err := st.Login(ctx, "", session.Login{User: neighbour, MaxSessions: 2})
		if err != nil {
			t.Errorf("the limit counts the neighbour's: %v", err)
		}
		if _, err := st.Login(ctx, session.Token(theirs), session.Login{User: "ada"}); err == nil {
			t.Error("a login from the neighbour's session")
		}
		lists(t, st, "ada", mine)
		lists(t, st, neighbour, theirs, second)
		revokes(t, st, "ada", 1)
		isAlive(t, st, theirs, true, "the neighbour's")
		if _, err := st.Login(ctx, "", session.Login{User: neighbour, Began: time.Now().Add(-time.Minute)}); err != nil {
			t.Errorf("a login of the neighbour, whom nobody has revoked: %v", err)
		}
		revokes(t, st, "ada", 0, theirs.ID())
		revokes(t, st, neighbour, 3)
	})
}

// TestManySessions goes through all calls for a user with thousands of sessions.
func TestManySessions(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		const many = 3000
		ctx, st := t.Context(), a.store(time.Hour)
		all := make([]session.Session, many)
		atOnce(20, func(i int) {
			for j := i; j < many; j += 20 {
				s, err := st.Login(ctx, "", session.Login{User: "ada"})
				if err != nil {
					t.Error(err)
					return
				}
				all[j] = s
			}
		})
		infos, err := st.UserSessions(ctx, "ada")
		if err != nil || len(infos) != many {
			t.Fatalf("got %d sessions, %v, want %d", len(infos), err, many)
		}
		logins := make(map[string]float64) // minus the time of each
		for _, z := range a.client.ZRangeWithScores(ctx, indexOf(st, "ada"), 0, many-1).Val() {
			logins[z.Member.(string)] = z.Score
		}
		slices.SortFunc(all, func(x, y session.Session) int { return cmp.Compare(logins[y.ID()[16:]], logins[x.ID()[16:]]) })
		var ended []string
		s, err := st.Login(ctx, "", session.Login{User: "ada", MaxSessions: 1201, EndOldest: true, Ended: func(id string) { ended = append(ended, id) }})
		if err != nil || len(ended) != many-1200 {
			t.Fatalf("%d sessions were ended, %v, want %d", len(ended), err, many-1200)
		}
		for i, id := range ended {
			if id != all[i].ID() {
				t.Fatal("not the oldest first")
			}
		}
		isAlive(t, st, all[many-1201], false, "the last that was ended")
		isAlive(t, st, all[many-1200], true, "the first that was not")
		revokes(t, st, "ada", 1200, s.ID())
		wantIndex(t, a, st, s)
	})
}
