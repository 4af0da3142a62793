package memory_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// TestUserLimit: one too many is refused and changes nothing.
func TestUserLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour}
		l := session.Login{User: "alice", MaxSessions: 3}
		for _, id := range []string{"a", "b", "c"} {
			enter(t, st, id, l)
			time.Sleep(time.Minute)
		}
		waiting := generate(t, st, "waiting")
		full := func(when string) {
			t.Helper()
			if _, err := st.Login(ctx, waiting, l); !errors.Is(err, session.ErrUserLimit) {
				t.Fatalf("%s: got %v, want ErrUserLimit", when, err)
			}
			opens(t, st, waiting, when+", the session of the refused login", nil)
			if user := stored(t, st, "waiting").User; user != "" {
				t.Errorf("%s: the session is %s's", when, user)
			}
		}
		full("three sessions")
		enter(t, st, "other", session.Login{User: "bob", MaxSessions: 1})

		if err := st.Remove(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		l.ID = "new"
		waiting = login(t, st, waiting, l)
		has(t, st, "alice", "after b was removed", "new", "c", "a")
		waiting = login(t, st, waiting, l) // counts itself once
		login(t, st, waiting, session.Login{User: "alice", MaxSessions: 3, Reauthentication: true})

		// To the nanosecond: what has expired does not count, swept or not.
		waiting = generate(t, st, "later")
		if err := st.Refresh(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Minute) // c has been idle for an hour
		l.ID = "newer"
		waiting = login(t, st, waiting, l)
		has(t, st, "alice", "at the deadline of c", "newer", "a", "new")
		_, err := st.Login(ctx, waiting, session.Login{User: "alice", MaxSessions: 2})
		if !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("a smaller limit: got %v, want ErrUserLimit", err)
		}
		waiting = generate(t, st, "last")
		time.Sleep(time.Minute - 1)
		if _, err := st.Login(ctx, waiting, session.Login{User: "alice", MaxSessions: 2}); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("a nanosecond before two expire: got %v, want ErrUserLimit", err)
		}
		time.Sleep(time.Nanosecond)
		login(t, st, waiting, session.Login{User: "alice", MaxSessions: 2, ID: "newest"})
		has(t, st, "alice", "after two have expired", "newest", "newer")
	})
}

// TestEndOldest: who logged in first goes, and whoever asked is told.
func TestEndOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour}
		tokens := make(map[string]string)
		var told []string
		l := session.Login{User: "alice", MaxSessions: 3, EndOldest: true}
		l.Ended = func(id string) {
			told = append(told, id)
			if _, err := st.Get(ctx, id); !errors.Is(err, session.ErrNotFound) { // no lock is held
				t.Errorf("told of %s, which is alive: %v", id, err)
			}
		}
		ended := func(when string, want ...string) {
			t.Helper()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told of %v, want %v", when, told, want)
			}
			for _, id := range want {
				opens(t, st, tokens[id], when+", the token of "+id, session.ErrNotFound)
			}
			told = nil
		}
		enter(t, st, "bob", session.Login{User: "bob"})
		for _, id := range []string{"a", "b", "c"} {
			tokens[id] = enter(t, st, id, l)
			time.Sleep(time.Second)
		}
		ended("three sessions")
		if err := st.Refresh(ctx, "a"); err != nil { // being seen is not logging in
			t.Fatal(err)
		}
		tokens["d"] = enter(t, st, "d", l)
		ended("a fourth", "a")
		has(t, st, "alice", "a fourth", "d", "c", "b")

		time.Sleep(time.Second)
		tokens["b"] = login(t, st, tokens["b"], session.Login{User: "alice", Reauthentication: true})
		time.Sleep(time.Second)
		tokens["e"] = enter(t, st, "e", l)
		ended("b has logged in again", "c")

		time.Sleep(time.Second)
		one := l
		one.MaxSessions = 1
		tokens["b"] = login(t, st, tokens["b"], one)
		ended("a limit of one", "d", "e")
		has(t, st, "alice", "a limit of one", "b")
		has(t, st, "bob", "a limit of alice's", "bob")

		// What has expired is not ended by a login, and nobody is told of it.
		time.Sleep(time.Hour)
		enter(t, st, "f", one)
		ended("b has expired")
		silent := one
		silent.Ended = nil
		enter(t, st, "g", silent)
		has(t, st, "alice", "nobody is told", "g")
	})
}

// TestLimitAtOnce: fifty logins with a limit of three leave three, also where
// they are refreshed and one that was there before logs in again meanwhile.
func TestLimitAtOnce(t *testing.T) {
	const limit, logins = 3, 50
	for _, oldest := range []bool{false, true} {
		t.Run(fmt.Sprint("EndOldest ", oldest), func(t *testing.T) {
			for range 200 {
				st := new(memory.Store)
				earlier := enter(t, st, "earlier", session.Login{User: "alice"})
				var tokens [logins]string
				for i := range tokens {
					tokens[i] = generate(t, st, fmt.Sprint(i))
				}
				var in, out atomic.Int64
				l := session.Login{User: "alice", MaxSessions: limit, EndOldest: oldest, Ended: func(string) { out.Add(1) }}
				var wg sync.WaitGroup
				for _, token := range append(tokens[:], earlier) {
					wg.Go(func() {
						switch _, err := st.Login(t.Context(), token, l); {
						case err == nil:
							in.Add(1)
						case errors.Is(err, session.ErrUserLimit) && !oldest:
						case errors.Is(err, session.ErrNotFound) && oldest && token == earlier: // ended by another
						default:
							t.Errorf("got %v", err)
						}
					})
					if token != earlier {
						wg.Go(func() { _ = st.Refresh(t.Context(), token[:len(token)-27]) })
					}
				}
				wg.Wait()
				if got := ids(t, st, "alice"); len(got) != limit {
					t.Fatalf("%d sessions are left, want %d", len(got), limit)
				}
				if oldest && out.Load() != logins+1-limit {
					t.Fatalf("told of %d sessions, want %d", out.Load(), logins+1-limit)
				}
				if !oldest && in.Load() != limit { // the earlier session's and two more
					t.Fatalf("%d logins, want %d", in.Load(), limit)
				}
			}
		})
	}
}

// TestFullOfVisitors: visitors without a login fill a store, which then refuses
// logins. With the short timeouts of docs/recipes.md they leave soon, also if they
// refresh their sessions all the time, and those who are logged in stay.
func TestFullOfVisitors(t *testing.T) {
	const room = 1000
	for _, refreshed := range []bool{false, true} {
		t.Run(fmt.Sprint("refreshed ", refreshed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &memory.Store{MaxSessions: room, IdleTimeout: 5 * time.Minute, AbsoluteTimeout: time.Hour}
				m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
				ctx := func() *mist.Context {
					req := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
					return &mist.Context{Request: req, ResponseWriter: httptest.NewRecorder()}
				}
				enters := func(user, when string, want error) (id string) {
					t.Helper()
					s, err := m.LoginWith(ctx(), session.Login{User: user, IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 12 * time.Hour})
					if !errors.Is(err, want) || (err == nil) != (want == nil) {
						t.Fatalf("%s: login of %s: got %v, want %v", when, user, err, want)
					}
					if err == nil {
						id = s.ID()
					}
					return id
				}
				alice := enters("alice", "an empty store", nil)
				var visitors []string
				for len(visitors) < room-1 {
					s, err := m.InitSession(ctx())
					if err != nil {
						t.Fatal(err)
					}
					visitors = append(visitors, s.ID())
				}
				if _, err := m.InitSession(ctx()); !errors.Is(err, session.ErrFull) {
					t.Fatalf("one visitor more: got %v, want ErrFull", err)
				}

				left := st.IdleTimeout
				if refreshed { // a minute before each deadline
					for left = st.AbsoluteTimeout; left > st.IdleTimeout; left -= 4 * time.Minute {
						time.Sleep(4 * time.Minute)
						for _, id := range append(visitors, alice) {
							if err := st.Refresh(t.Context(), id); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				time.Sleep(left - 1)
				enters("bob", "a nanosecond before the visitors leave", session.ErrFull)
				time.Sleep(time.Nanosecond)
				for i := range room - 1 { // nobody has to wait for a sweep
					enters(fmt.Sprint("user", i), "the visitors have left", nil)
				}
				enters("bob", "a store full of logins", session.ErrFull)
				if user := stored(t, st, alice).User; user != "alice" {
					t.Errorf("the session from before the visitors is %q's, want alice's", user)
				}
			})
		})
	}
}
