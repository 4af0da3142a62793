package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// ids are those of a user's sessions, as UserSessions lists them.
func ids(t *testing.T, st *memory.Store, user string) []string {
	t.Helper()
	infos, err := st.UserSessions(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, info := range infos {
		if info.User != user {
			t.Errorf("a session of another user is listed: %s", info.ID)
		}
		ids = append(ids, info.ID)
	}
	return ids
}

// has checks whose sessions there are, the last seen first.
func has(t *testing.T, st *memory.Store, user, when string, want ...string) {
	t.Helper()
	if got := ids(t, st, user); !slices.Equal(got, want) {
		t.Errorf("%s: %s has %v, want %v", when, user, got, want)
	}
}

func revoke(t *testing.T, st *memory.Store, user string, want int, except ...string) {
	t.Helper()
	if n, err := st.RemoveUserSessions(t.Context(), user, except...); n != want || err != nil {
		t.Errorf("RemoveUserSessions: got %d, %v, want %d", n, err, want)
	}
}

func TestUserSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour}
		has(t, st, "alice", "at first")
		generate(t, st, "anonymous")
		for _, id := range []string{"a", "b", "c"} {
			enter(t, st, id, session.Login{User: "alice", Level: 2, UserAgent: "browser of " + id})
			time.Sleep(time.Minute)
		}
		enter(t, st, "d", session.Login{User: "bob"})
		enter(t, st, "e", session.Login{User: strings.Repeat("u", 256)})
		has(t, st, "alice", "after logins", "c", "b", "a")
		has(t, st, "bob", "after logins", "d")
		has(t, st, "alic", "a prefix")
		has(t, st, strings.Repeat("u", 256), "a long user", "e")
		if err := st.Refresh(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		has(t, st, "alice", "after a refresh of b", "b", "c", "a")
		infos, err := st.UserSessions(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			if info != stored(t, st, info.ID) {
				t.Errorf("got %+v, want what Describe says", info)
			}
		}
		if err := st.Remove(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		has(t, st, "alice", "after c was removed", "b", "a")
		time.Sleep(57*time.Minute - 1)
		has(t, st, "alice", "just before the deadline of a", "b", "a")
		time.Sleep(time.Nanosecond)
		has(t, st, "alice", "at the deadline of a", "b")
		time.Sleep(time.Hour)
		has(t, st, "alice", "later")
	})
}

func TestUserArguments(t *testing.T) {
	st := new(memory.Store)
	token := enter(t, st, "id", session.Login{User: "alice"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var none context.Context
	for _, tt := range []struct {
		name  string
		store *memory.Store
		ctx   context.Context //nolint:containedctx // a column of the table
		user  string
		want  error // nil: an error of its own
	}{
		{"no user", st, t.Context(), "", session.ErrInvalidUser},
		{"a long user", st, t.Context(), strings.Repeat("u", 257), session.ErrInvalidUser},
		{"a context that ended", st, ended, "alice", context.Canceled},
		{"no context", st, none, "alice", nil},
		{"a store that cannot work", &memory.Store{MaxSessions: -1}, t.Context(), "alice", nil},
	} {
		infos, err1 := tt.store.UserSessions(tt.ctx, tt.user)
		n, err2 := tt.store.RemoveUserSessions(tt.ctx, tt.user)
		if infos != nil || n != 0 {
			t.Errorf("%s: got %v, %d beside an error", tt.name, infos, n)
		}
		for _, err := range []error{err1, err2} {
			if err == nil || errors.Is(err, session.ErrNotFound) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		}
	}
	opens(t, st, token, "the session", nil)
	login(t, st, token, session.Login{User: "alice", Began: time.Now().Add(-time.Minute)}) // nothing was revoked
}

func TestRemoveUserSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour}
		revoke(t, st, "alice", 0)
		var tokens []string
		for i := range 5 {
			tokens = append(tokens, enter(t, st, fmt.Sprint(i), session.Login{User: "alice"}))
		}
		kept, err := st.Get(ctx, "2")
		if err != nil {
			t.Fatal(err)
		}
		gone, err := st.Get(ctx, "3")
		if err != nil {
			t.Fatal(err)
		}
		bob := enter(t, st, "bob", session.Login{User: "bob"})
		anonymous := generate(t, st, "anonymous")
		if err := st.Remove(ctx, "4"); err != nil {
			t.Fatal(err)
		}
		old := rotate(t, st, tokens[3], time.Hour)
		revoke(t, st, "alice", 3, "2", "bob", "nobody")
		for i, token := range append(tokens, old) {
			want := session.ErrNotFound
			if i == 2 {
				want = nil
			}
			opens(t, st, token, fmt.Sprint("token ", i), want)
		}
		opens(t, st, bob, "another user's", nil)
		opens(t, st, anonymous, "nobody's", nil)
		if err := kept.Set(ctx, "key", 1); err != nil {
			t.Errorf("the one that stays: %v", err)
		}
		plain(t, "a write to one that is gone", gone.Set(ctx, "key", 1))
		plain(t, "Refresh of one that is gone", st.Refresh(ctx, "3"))
		has(t, st, "alice", "after all", "2")

		// What has expired was not ended by anybody.
		time.Sleep(time.Hour)
		revoke(t, st, "alice", 0)
	})
}

// TestRevocationAgainstBegan: who began to log in before the revocation is
// refused, for as long as a login may take.
func TestRevocationAgainstBegan(t *testing.T) {
	const none = 1 << 40 // of began and of the revocation
	for _, tt := range []struct {
		name           string
		revoked, began time.Duration // from the login on
		want           error
	}{
		{"began a nanosecond before", -time.Minute, -time.Minute - 1, session.ErrRevoked},
		{"began just then", -time.Minute, -time.Minute, nil},
		{"began a nanosecond after", -time.Minute, -time.Minute + 1, nil},
		{"began long before", -time.Minute, -time.Hour, session.ErrRevoked},
		{"began an hour ago, before", -time.Hour + 1, -time.Hour, session.ErrRevoked},
		{"began an hour ago, after", -time.Hour - 1, -time.Hour, nil},
		{"no revocation, an hour ago", none, -time.Hour, nil},
		{"no revocation, over an hour ago", none, -time.Hour - 1, session.ErrRevoked},
		{"no revocation, before the store was made", none, -100 * time.Hour, session.ErrRevoked},
		{"no revocation, centuries ago", none, -1 << 63, session.ErrRevoked},
		{"zero is now", -time.Minute, none, nil},
		{"zero is now, at the moment of the revocation", 0, none, nil},
		{"the future is now", -time.Minute, time.Hour, nil},
		{"the far future is now", -time.Minute, 1<<63 - 1, nil},
	} {
		for _, clock := range []string{"monotonic", "wall"} {
			t.Run(tt.name+"/"+clock, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := &memory.Store{IdleTimeout: 12 * time.Hour}
					token := generate(t, st, "id")
					other := enter(t, st, "other", session.Login{User: "bob"})
					time.Sleep(3 * time.Hour)
					moment := time.Now()
					if tt.revoked != none {
						time.Sleep(2*time.Hour + tt.revoked)
						revoke(t, st, "alice", 0)
						time.Sleep(-tt.revoked)
					} else {
						time.Sleep(2 * time.Hour)
					}
					if got := time.Since(moment); got != 2*time.Hour {
						t.Fatalf("the login is after %v", got)
					}
					st.Sweep() // forgets what may be forgotten
					l := session.Login{User: "alice"}
					if tt.began != none {
						if l.Began = time.Now().Add(tt.began); clock == "wall" {
							l.Began = l.Began.Round(0)
						}
					}
					_, err := st.Login(t.Context(), token, l)
					if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
						t.Errorf("got %v, want %v", err, tt.want)
					}
					if tt.want != nil {
						if !errors.Is(err, session.ErrNotFound) {
							t.Errorf("got %v, want one that matches ErrNotFound, too", err)
						}
						opens(t, st, token, "the session of a refused login", nil)
						has(t, st, "alice", "after a refused login")
					}
					login(t, st, other, session.Login{User: "bob", Began: time.Now().Add(-time.Hour)}) // nobody revoked bob
				})
			})
		}
	}
}

// TestRevocationsOfAUser: the last one counts, and it is remembered from then on.
func TestRevocationsOfAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{IdleTimeout: 12 * time.Hour}
		revoke(t, st, "other", 0)
		revoke(t, st, "alice", 0)
		time.Sleep(30 * time.Minute)
		began := time.Now()
		time.Sleep(time.Nanosecond)
		revoke(t, st, "alice", 0)
		time.Sleep(45 * time.Minute)
		st.Sweep()
		_, err := st.Login(t.Context(), generate(t, st, "id"), session.Login{User: "alice", Began: began})
		if !errors.Is(err, session.ErrRevoked) {
			t.Errorf("got %v, want ErrRevoked", err)
		}
		// A session that stays is not logged in again by an old password, either.
		token := enter(t, st, "kept", session.Login{User: "alice"})
		revoke(t, st, "alice", 0, "kept")
		for _, again := range []bool{false, true} {
			_, err = st.Login(t.Context(), token, session.Login{User: "alice", Began: began, Reauthentication: again})
			if !errors.Is(err, session.ErrRevoked) {
				t.Errorf("Reauthentication %t: got %v, want ErrRevoked", again, err)
			}
		}
		opens(t, st, token, "the one that stays", nil)
	})
}

// TestRevocationAgainstLogins: of 64 logins under way, which all began before the
// revocation, none is alive after it, whether they are done before it, after it
// or meanwhile.
func TestRevocationAgainstLogins(t *testing.T) {
	const logins = 64
	ctx := t.Context()
	for round := range 200 {
		st := new(memory.Store)
		enter(t, st, "before", session.Login{User: "alice"})
		var tokens, made [logins]string
		for i := range tokens {
			tokens[i] = generate(t, st, fmt.Sprint(i))
		}
		began := time.Now()
		done := make(chan struct{}, logins)
		var wg sync.WaitGroup
		for i := range logins {
			wg.Go(func() {
				defer func() { done <- struct{}{} }()
				s, err := st.Login(ctx, tokens[i], session.Login{User: "alice", Began: began})
				switch {
				case err == nil:
					made[i] = session.Token(s)
				case !errors.Is(err, session.ErrRevoked):
					t.Errorf("got %v, want ErrRevoked", err)
				}
			})
		}
		wg.Go(func() {
			for range round % logins {
				<-done
			}
			if _, err := st.RemoveUserSessions(ctx, "alice"); err != nil {
				t.Error(err)
			}
			has(t, st, "alice", "when the call returns")
		})
		wg.Wait()
		has(t, st, "alice", "in the end")
		for _, token := range made {
			if token != "" {
				opens(t, st, token, "the token of a login", session.ErrNotFound)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestRevocationsTogether: each session is counted once, and none is alive when
// any of the calls returns.
func TestRevocationsTogether(t *testing.T) {
	const sessions, calls = 200, 50
	ctx := t.Context()
	st := new(memory.Store)
	for i := range sessions {
		enter(t, st, fmt.Sprint(i), session.Login{User: "alice"})
	}
	var sum atomic.Int64
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			n, err := st.RemoveUserSessions(ctx, "alice")
			if err != nil {
				t.Error(err)
			}
			sum.Add(int64(n))
			for i := range sessions {
				if _, err := st.Get(ctx, fmt.Sprint(i)); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("alive when the call returns: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := sum.Load(); got != sessions {
		t.Errorf("%d sessions were ended, want %d", got, sessions)
	}
}

// An endingContext ends when it has been asked some times.
type endingContext struct {
	context.Context //nolint:containedctx // it is one
	left            int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestContextEndsMeanwhile: a call about many sessions ends with its context; what
// it has done it says.
func TestContextEndsMeanwhile(t *testing.T) {
	st := new(memory.Store)
	for i := range 5 {
		enter(t, st, fmt.Sprint(i), session.Login{User: "alice"})
	}
	infos, err := st.UserSessions(&endingContext{t.Context(), 3}, "alice")
	if infos != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("UserSessions: got %v, %v", infos, err)
	}
	n, err := st.RemoveUserSessions(&endingContext{t.Context(), 3}, "alice")
	if n != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("RemoveUserSessions: got %d, %v, want 2", n, err)
	}
	revoke(t, st, "alice", 3) // repeated
}
