package memory

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// entered logs in without a session before, and returns the token.
func entered(t *testing.T, st *Store, id string, l session.Login) string {
	t.Helper()
	l.ID = id
	s, err := st.Login(t.Context(), "", l)
	if err != nil {
		t.Fatal(err)
	}
	return session.Token(s)
}

// accounts counts what the index holds.
func (st *Store) accounts() (accounts, sessions, revocations int) {
	for i := range st.users {
		accounts += len(st.users[i].byName.entries)
		revocations += st.users[i].revoked.Len()
		for _, u := range st.users[i].byName.entries {
			sessions += u.sessions.Len()
		}
	}
	return accounts, sessions, revocations
}

func (st *Store) holds(t *testing.T, when string, wantAccounts, wantSessions, wantRevocations int) {
	t.Helper()
	accounts, sessions, revocations := st.accounts()
	if accounts != wantAccounts || sessions != wantSessions || revocations != wantRevocations {
		t.Errorf("%s: got %d accounts, %d sessions, %d revocations, want %d, %d, %d",
			when, accounts, sessions, revocations, wantAccounts, wantSessions, wantRevocations)
	}
}

// TestIndexLeavesNothing: however a session ends, its user is forgotten.
func TestIndexLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &Store{IdleTimeout: time.Hour}
		many := func() {
			for i := range 100 {
				entered(t, st, fmt.Sprint(i), session.Login{User: fmt.Sprint("user", i/2)})
			}
			st.holds(t, "after logins", 50, 100, 0)
		}
		many()
		for i := range 100 {
			if err := st.Remove(ctx, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		st.holds(t, "after Remove", 0, 0, 0)

		many()
		time.Sleep(time.Hour)
		for i := range 100 {
			if _, err := st.Get(ctx, fmt.Sprint(i)); !errors.Is(err, session.ErrNotFound) {
				t.Fatal(err)
			}
		}
		st.holds(t, "after expiry was seen", 0, 0, 0)

		many()
		time.Sleep(time.Hour)
		if got := st.Sweep(); got != 100 {
			t.Errorf("Sweep: got %d, want 100", got)
		}
		st.holds(t, "after Sweep", 0, 0, 0)

		for i := range 10 {
			entered(t, st, fmt.Sprint(i), session.Login{User: "alice", MaxSessions: 1, EndOldest: true})
		}
		st.holds(t, "after evictions", 1, 1, 0)
		if _, err := st.UserSessions(ctx, "nobody"); err != nil {
			t.Fatal(err)
		}
		s, err := st.Generate(ctx, "refused")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Login(ctx, session.Token(s), session.Login{User: "bob", Began: time.Now().Add(-2 * time.Hour)}); !errors.Is(err, session.ErrRevoked) {
			t.Fatal(err)
		}
		st.holds(t, "after questions and refusals", 1, 1, 0)
		if _, err := st.RemoveUserSessions(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		st.holds(t, "after a revocation", 1, 0, 1)
	})
}

// TestLimitGivesMemoryBack: what a login finds expired in the account is removed
// at once, also where the login is refused.
func TestLimitGivesMemoryBack(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := &Store{IdleTimeout: time.Hour}
			for i := range 5 {
				entered(t, st, fmt.Sprint(i), session.Login{User: "alice", IdleTimeout: time.Minute})
			}
			entered(t, st, "longer", session.Login{User: "alice"})
			time.Sleep(time.Minute)
			l := session.Login{User: "alice", MaxSessions: 2}
			if refused {
				l.MaxSessions = 1
			}
			s, err := st.Generate(t.Context(), "new")
			if err != nil {
				t.Fatal(err)
			}
			_, err = st.Login(t.Context(), session.Token(s), l)
			if (err != nil) != refused {
				t.Errorf("got %v", err)
			}
			st.keeps(t, fmt.Sprint("refused ", refused), 2)
		})
	}
}

// TestRevocationsAreForgotten: after an hour, by Sweep and by the calls of
// strangers, a bounded number each.
func TestRevocationsAreForgotten(t *testing.T) {
	const n = 10_000
	for _, sweep := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			st := new(Store)
			for i := range n {
				if _, err := st.RemoveUserSessions(ctx, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(30 * time.Minute)
			for range 3 {
				if _, err := st.RemoveUserSessions(ctx, "0"); err != nil {
					t.Fatal(err)
				}
			}
			entered(t, st, "id", session.Login{User: "1", IdleTimeout: 5 * time.Hour, AbsoluteTimeout: 5 * time.Hour})
			time.Sleep(30*time.Minute - 1)
			st.Sweep()
			st.holds(t, "just before the hour is over", n, 1, n)
			time.Sleep(time.Minute) // and a pause
			budget := 10
			st.users[0].forget(st.now(), &budget)
			if accounts, _, revocations := st.accounts(); budget != 0 || revocations != n-10 || accounts < n-10 {
				t.Errorf("a budget of 10: %d is left, and %d revocations", budget, revocations)
			}
			if sweep {
				st.Sweep()
			} else {
				for range 2 * shardCount {
					_, _ = st.Get(ctx, "stranger")
				}
			}
			st.holds(t, "after the hour", 2, 1, 1) // revoked again, and logged in
			for i := range st.users {
				if m := &st.users[i].byName; m.most > 4*len(m.entries)+8 {
					t.Errorf("a map of %d accounts has the memory of %d", len(m.entries), m.most)
				}
			}
			time.Sleep(31 * time.Minute)
			st.Sweep()
			st.holds(t, "in the end", 1, 1, 0)
		})
	}
}

// TestNotCountedStaysOut: what a login did not count, because the clock had ended
// it or to make room, nothing brings back: no call either that has taken the time
// just before.
func TestNotCountedStaysOut(t *testing.T) {
	ctx := t.Context()
	st := &Store{IdleTimeout: time.Hour}
	for _, tt := range []struct {
		name   string
		now    int64 // of the login that does not count it
		oldest bool
	}{
		{"expired", int64(time.Hour) * 2, false},
		{"evicted", 0, true},
	} {
		l := session.Login{User: tt.name, MaxSessions: 1, EndOldest: tt.oldest}
		token := entered(t, st, tt.name, l)
		us := st.usersOf(tt.name)
		a := &loginAttempt{Login: l}
		us.mu.Lock()
		err := st.enforceLimits(a, us.entry(tt.name), new(record), tt.now)
		us.mu.Unlock()
		if err != nil || len(a.stale)+len(a.evicted) != 1 {
			t.Fatalf("%s: got %v, %d and %d", tt.name, err, len(a.stale), len(a.evicted))
		}
		if err := st.Refresh(ctx, tt.name); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Refresh: got %v, want ErrNotFound", tt.name, err)
		}
		if _, err := st.Login(ctx, token, session.Login{User: tt.name}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Login: got %v, want ErrNotFound", tt.name, err)
		}
		// Until it is ended a revocation finds it, and the next login ends it, too.
		b := &loginAttempt{Login: l}
		us.mu.Lock()
		err = st.enforceLimits(b, us.entry(tt.name), new(record), 0)
		us.mu.Unlock()
		if err != nil || len(b.stale) != 1 || len(b.evicted) != 0 {
			t.Errorf("%s: the next login: got %v, %d and %d", tt.name, err, len(b.stale), len(b.evicted))
		}
		if n, err := st.RemoveUserSessions(ctx, tt.name); n != 1 || err != nil {
			t.Errorf("%s: RemoveUserSessions: got %d, %v, want 1", tt.name, n, err)
		}
		if got := append(st.endAll(a.stale), st.endAll(a.evicted)...); len(got) != 1 || got[0] != tt.name {
			t.Errorf("%s: ended %v", tt.name, got)
		}
	}
	if got := st.live.Load(); got != 0 {
		t.Errorf("%d sessions are left, want 0", got)
	}
}

// TestShortLoginsGiveMemoryBack: the calls of strangers free the memory of logins 250 ms
// after their own deadline, in a store of half a day, also if an earlier login of the
// session was longer. A full store has room at the deadline.
func TestShortLoginsGiveMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &Store{IdleTimeout: 10 * time.Hour, MaxSessions: 100}
		for i := range 100 {
			token := entered(t, st, fmt.Sprint(i), session.Login{User: "alice"})
			if _, err := st.Login(ctx, token, session.Login{User: "alice", IdleTimeout: time.Minute}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := st.Generate(ctx, "one-more"); !errors.Is(err, session.ErrFull) {
			t.Fatalf("got %v, want ErrFull", err)
		}
		strangers := func() {
			for range 2 * shardCount {
				_, _ = st.Get(ctx, "stranger")
			}
		}
		time.Sleep(time.Minute - 1)
		strangers() // they have just swept all shards
		time.Sleep(time.Nanosecond)
		if _, err := st.Generate(ctx, "one-more"); err != nil {
			t.Errorf("at the deadline: %v", err)
		}
		time.Sleep(250 * time.Millisecond)
		strangers()
		if got := st.live.Load(); got != 1 {
			t.Errorf("%d sessions are in memory, want 1", got)
		}
	})
}

// TestAnonymousCostsNothingMore: what a login needs is allocated by it.
func TestAnonymousCostsNothingMore(t *testing.T) {
	ctx := t.Context()
	st := new(Store)
	s, err := st.Generate(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	token := session.Token(s)
	n := 0
	for _, tt := range []struct {
		name string
		most float64
		call func() error
	}{
		{"Open", 1, func() error { _, err := st.Open(ctx, token); return err }},
		{"Refresh", 0, func() error { return st.Refresh(ctx, "id") }},
		{"Generate", 8, func() error { n++; _, err := st.Generate(ctx, fmt.Sprint(n)); return err }},
	} {
		got := testing.AllocsPerRun(5000, func() {
			if err := tt.call(); err != nil {
				t.Fatal(err)
			}
		})
		if got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.most)
		}
	}
}
