package memory

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// keeps checks how many sessions have memory: in the tables, in the heaps and
// in the count of MaxSessions.
func (st *Store) keeps(t *testing.T, when string, want int) {
	t.Helper()
	table, expiry := 0, 0
	for i := range st.shards {
		table += st.shards[i].table.count
		expiry += len(st.shards[i].expiry)
	}
	if live := st.live.Load(); table != want || expiry != want || live != int64(want) {
		t.Errorf("%s: got %d sessions in the tables, %d in the heaps and a count of %d, want %d", when, table, expiry, live, want)
	}
}

// TestLoginGivesMemoryBack: the anonymous session leaves nothing behind, and the
// session that begins leaves nothing behind when it ends.
func TestLoginGivesMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &Store{IdleTimeout: time.Hour, MaxSessions: 100}
		for range 3 {
			for i := range 100 {
				s, err := st.Generate(ctx, fmt.Sprint("anonymous", i))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Set(ctx, "key", i); err != nil {
					t.Fatal(err)
				}
				if _, err := st.Login(ctx, session.Token(s), session.Login{User: fmt.Sprint(i / 2), ID: fmt.Sprint(i)}); err != nil {
					t.Fatal(err)
				}
			}
			st.keeps(t, "after logins", 100)
			st.holds(t, "after logins", 50, 100, 0)
			for i := range 50 {
				if err := st.Remove(ctx, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			st.keeps(t, "after Remove", 50)
			st.holds(t, "after Remove", 25, 50, 0)
			time.Sleep(time.Hour)
			st.Sweep()
			st.keeps(t, "after Sweep", 0)
			st.holds(t, "after Sweep", 0, 0, 0)
		}
	})
}

// TestRefusedLoginLeavesNothing: no account, no session and no place.
func TestRefusedLoginLeavesNothing(t *testing.T) {
	ctx := t.Context()
	many := make(map[string]any)
	for i := range 1024 {
		many[fmt.Sprint(i)] = i
	}
	for _, tt := range []struct {
		name  string
		login session.Login
		want  error
	}{
		{"revoked", session.Login{User: "bob", Began: time.Now().Add(-2 * time.Hour)}, session.ErrRevoked},
		{"a live id", session.Login{User: "bob", ID: "alice"}, session.ErrExists},
		{"one too many", session.Login{User: "alice", MaxSessions: 1}, session.ErrUserLimit},
		{"a value", session.Login{User: "bob", Values: map[string]any{"key": new(int)}}, session.ErrValue},
		{"a large value", session.Login{User: "bob", Values: map[string]any{"key": strings.Repeat("v", 1<<20)}}, session.ErrTooLarge},
		{"with the kept value too many", session.Login{User: "bob", Values: many}, session.ErrTooLarge},
		{"a full store", session.Login{User: "bob"}, session.ErrFull},
		{"a full store, although one would be ended", session.Login{User: "alice", MaxSessions: 1, EndOldest: true}, session.ErrFull},
	} {
		st := &Store{MaxSessions: 2}
		token := entered(t, st, "alice", session.Login{User: "alice"})
		s, err := st.Generate(ctx, "anonymous")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Set(ctx, "key", "value"); err != nil {
			t.Fatal(err)
		}
		l := tt.login
		l.Ended = func(id string) { t.Errorf("%s: %s has ended", tt.name, id) }
		from := session.Token(s)
		if tt.want == session.ErrFull { //nolint:errorlint // of the table
			from = ""
		}
		if s, err := st.Login(ctx, from, l); s != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, s, err, tt.want)
		}
		st.keeps(t, tt.name, 2)
		st.holds(t, tt.name, 1, 1, 0)
		if err := s.Set(ctx, "key", "another"); err != nil {
			t.Errorf("%s: a write to the anonymous session: %v", tt.name, err)
		}
		for _, token := range []string{token, session.Token(s)} {
			if _, err := st.Open(ctx, token); err != nil {
				t.Errorf("%s: Open: got %v", tt.name, err)
			}
		}
	}
}

// TestLoginsLockInOneOrder: logins that go from one shard to another and back at
// the same time do not wait for each other. If they do, the test never ends.
func TestLoginsLockInOneOrder(t *testing.T) {
	ctx := t.Context()
	st := new(Store)
	if err := st.Check(); err != nil {
		t.Fatal(err)
	}
	in := func(index uint32, name string) string { // an id in that shard
		for i := 0; ; i++ {
			id := fmt.Sprint(name, i)
			if sh, _ := st.shard(id); sh.index == index {
				return id
			}
		}
	}
	var wg sync.WaitGroup
	for g := range 12 {
		shards := [][2]uint32{{7, 40}, {40, 7}, {7, 7}}[g%3]
		from, to := in(shards[0], fmt.Sprint("from", g, "-")), in(shards[1], fmt.Sprint("to", g, "-"))
		wg.Go(func() {
			for range 1000 {
				s, err := st.Generate(ctx, from)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err = st.Login(ctx, session.Token(s), session.Login{User: from, ID: to}); err != nil {
					t.Error(err)
					return
				}
				if err := st.Remove(ctx, to); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	st.keeps(t, "in the end", 0)
	st.holds(t, "in the end", 0, 0, 0)
}

// TestLoginKeepsItsPlace: the count of MaxSessions is the same at all times while
// anonymous sessions become users'. So nobody gets their places, and nobody is
// refused because of a second place.
func TestLoginKeepsItsPlace(t *testing.T) {
	const sessions = 20_000
	ctx := t.Context()
	st := new(Store)
	tokens := make([]string, sessions)
	for i := range tokens {
		s, err := st.Generate(ctx, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = session.Token(s)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !done.Load() {
			if got := st.live.Load(); got != sessions {
				t.Errorf("%d sessions are counted, want %d", got, sessions)
				return
			}
		}
	})
	for i, token := range tokens {
		if _, err := st.Login(ctx, token, session.Login{User: fmt.Sprint(i)}); err != nil {
			t.Errorf("Login: got %v", err)
		}
	}
	done.Store(true)
	wg.Wait()
}
