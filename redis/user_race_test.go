package redis_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestRevokeRace revokes while logins are under way whose check began before. What
// is alive afterwards must not be. In each race 64 logins are in flight.
func TestRevokeRace(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		const logins, races = 64, 40
		st := a.store(time.Hour)
		var alive, acknowledged, refused, reported atomic.Int64
		for race := range races * *times {
			user := fmt.Sprint("user", race)
			var made [logins]session.Session
			atOnce(logins, func(i int) { made[i] = generate(t, st) })
			var all sync.WaitGroup
			for i := range logins {
				began := time.Now()
				all.Go(func() {
					time.Sleep(rand.N(5 * time.Millisecond)) // the check of the password
					s, err := st.Login(t.Context(), session.Token(made[i]), session.Login{User: user, Began: began})
					switch {
					case err == nil:
						acknowledged.Add(1)
						made[i] = s
					case errors.Is(err, session.ErrNotFound):
						refused.Add(1)
					default:
						t.Errorf("Login: %v", err)
					}
				})
			}
			time.Sleep(rand.N(8 * time.Millisecond))
			n, err := st.RemoveUserSessions(t.Context(), user)
			if err != nil {
				t.Errorf("RemoveUserSessions: %v", err)
			}
			reported.Add(int64(n))
			if infos, err := st.UserSessions(t.Context(), user); err != nil || len(infos) > 0 {
				t.Errorf("listed at once: %d, %v", len(infos), err)
			}
			all.Wait()
			atOnce(logins, func(i int) {
				if s, err := st.Get(t.Context(), made[i].ID()); err == nil && described(t, s).User != "" {
					alive.Add(1)
				}
			})
			if s, err := st.Login(t.Context(), session.Token(generate(t, st)), session.Login{User: user, Began: time.Now()}); err != nil {
				t.Errorf("a login whose check begins now: %v", err)
			} else {
				isAlive(t, st, s, true, "a login whose check began after the revocation")
			}
		}
		t.Logf("%d races: logins acknowledged %d, refused %d, ended and reported %d, alive that must not be %d",
			races**times, acknowledged.Load(), refused.Load(), reported.Load(), alive.Load())
		if alive.Load() > 0 {
			t.Errorf("%d sessions are alive that must not be", alive.Load())
		}
		if some := int64(logins * races * *times / 100); acknowledged.Load() < some || refused.Load() < some {
			t.Error("too few logins met a revocation: the test proves little")
		}
	})
}

// TestBegan refuses who began before the revocation, and nobody else.
func TestBegan(t *testing.T) { //nolint:tparallel // alone, or all answers are slow, and nobody knows who began later
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		mine := loggedIn(t, st, session.Login{User: "ada"})
		before := time.Now()
		if _, err := st.RemoveUserSessions(ctx, "ada", mine.ID()); err != nil {
			t.Fatal(err)
		}
		after := time.Now()
		for name, c := range map[string]struct {
			l    session.Login
			want error
		}{
			"before":                  {session.Login{User: "ada", Began: before}, session.ErrRevoked},
			"half an hour before":     {session.Login{User: "ada", Began: before.Add(-30 * time.Minute)}, session.ErrRevoked},
			"before, without a clock": {session.Login{User: "ada", Began: before.Round(0)}, session.ErrRevoked},
			"after":                   {session.Login{User: "ada", Began: after}, nil},
			"never said":              {session.Login{User: "ada"}, nil},
			"in the future":           {session.Login{User: "ada", Began: after.Add(time.Hour)}, nil},
			"before, another user":    {session.Login{User: "bob", Began: before}, nil},
		} {
			s, err := st.Login(ctx, session.Token(generate(t, st)), c.l)
			if !errors.Is(err, c.want) || (err == nil) != (s != nil) {
				t.Errorf("began %s: got %v, want %v", name, err, c.want)
			}
		}
		if _, err := st.Login(ctx, session.Token(mine), session.Login{User: "ada", Reauthentication: true, Began: before}); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("reauthentication that began before: got %v, want ErrRevoked", err)
		}
		isAlive(t, st, mine, true, "what was excepted")
		refused := generate(t, st)
		if _, err := st.Login(ctx, session.Token(refused), session.Login{User: "ada", Began: before.Add(-time.Second)}); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("got %v, want ErrRevoked", err)
		}
		isAlive(t, st, refused, true, "an anonymous session whose login was refused")
	})
}

// A login that is on its way for long knows too little of how long ago the check of
// the password began.
func TestBeganOnASlowWay(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: patience}
	warm(t, direct)
	proxy := redistest.NewProxy(t, server.Addr)
	st := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr+patient), OpTimeout: patience}
	s := generate(t, st)
	proxy.SetDelay(150 * time.Millisecond)
	began := time.Now()
	failed := make(chan error, 1)
	go func() {
		_, err := st.Login(t.Context(), session.Token(s), session.Login{User: "ada", Began: began})
		failed <- err
	}()
	time.Sleep(50 * time.Millisecond) // it is under way
	if _, err := truth.RemoveUserSessions(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 140*time.Millisecond {
		t.Logf("the machine is slow: revoked after %v", took)
	}
	if err := <-failed; !errors.Is(err, session.ErrRevoked) {
		t.Errorf("Login: got %v, want ErrRevoked", err)
	}
	lists(t, truth, "ada")
	if s, err := truth.Get(t.Context(), s.ID()); err == nil && described(t, s).User != "" {
		t.Error("the session is somebody's")
	}
	// And whose check begins later may be as slow.
	if _, err := st.Login(t.Context(), session.Token(generate(t, truth)), session.Login{User: "ada"}); err != nil {
		t.Errorf("a login that begins now: %v", err)
	}
}

// An answer that was on its way for long is no reason to refuse a login that began
// after the revocation.
func TestBeganBeforeASlowAnswer(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: patience}
	warm(t, direct)
	proxy := redistest.NewProxy(t, server.Addr)
	st := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr+patient), OpTimeout: patience}
	s := generate(t, st)
	if _, err := truth.RemoveUserSessions(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // more than an answer takes that is not slow
	began := time.Now()
	var slow sync.Once
	proxy.Match(func([]byte) bool { // sees requests on their way to the server
		slow.Do(func() {
			proxy.SetDelay(200 * time.Millisecond)
			time.AfterFunc(150*time.Millisecond, func() { proxy.SetDelay(0) })
		})
		return false
	})
	if _, err := st.Login(t.Context(), session.Token(s), session.Login{User: "ada", Began: began}); err != nil {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("it took %v: the answer was not slow", took)
	}
}

// Of many logins with one token one wins, and is listed.
func TestLoginsOfOneSession(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		st := a.store(time.Hour)
		for range 60 {
			s := generate(t, st)
			var won sync.Map
			var winners atomic.Int32
			atOnce(8, func(i int) {
				user := []string{"ada", "bob"}[i%2]
				logged, err := st.Login(t.Context(), session.Token(s), session.Login{User: user})
				switch {
				case err == nil:
					winners.Add(1)
					won.Store(user, logged)
				case !errors.Is(err, session.ErrNotFound):
					t.Errorf("Login: %v", err)
				}
			})
			if winners.Load() != 1 {
				t.Fatalf("%d logins have succeeded, want 1", winners.Load())
			}
			for _, user := range []string{"ada", "bob"} {
				if winner, ok := won.Load(user); ok {
					lists(t, st, user, winner.(session.Session))
					revokes(t, st, user, 1)
				} else {
					lists(t, st, user)
				}
			}
		}
	})
}

// TestUserLimit lets 50 logins meet a limit of three.
func TestUserLimit(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		for _, endOldest := range []bool{false, true} {
			t.Run(fmt.Sprint("end oldest ", endOldest), func(t *testing.T) {
				for round := range 10 {
					limitRace(t, a.store(time.Hour), endOldest, round)
				}
			})
		}
	})
}

func limitRace(t *testing.T, st *redis.Store, endOldest bool, round int) {
	t.Helper()
	const logins, limit = 50, 3
	var (
		mu    sync.Mutex
		ended = make(map[string]int)
		won   = make(map[string]session.Session)
	)
	l := session.Login{User: "ada", MaxSessions: limit, EndOldest: endOldest, Ended: func(id string) {
		mu.Lock()
		defer mu.Unlock()
		ended[id]++
	}}
	for range round % 5 { // some are there already
		s := loggedIn(t, st, session.Login{User: "ada"})
		won[s.ID()] = s
	}
	atOnce(logins, func(int) {
		s, err := st.Login(t.Context(), session.Token(generate(t, st)), l)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			won[s.ID()] = s
		case !endOldest && errors.Is(err, session.ErrUserLimit):
		case endOldest && err == session.ErrNotFound: //nolint:errorlint // ended while under way, by a later one
		default:
			t.Errorf("Login: %v", err)
		}
	})
	infos, err := st.UserSessions(t.Context(), "ada")
	want := limit
	if !endOldest {
		want = max(limit, round%5)
	}
	if err != nil || len(infos) != want {
		t.Errorf("round %d: %d sessions are listed, %v, want %d", round, len(infos), err, want)
	}
	alive := 0
	for id, s := range won {
		_, err := st.Open(t.Context(), session.Token(s))
		switch {
		case err == nil:
			alive++
			if ended[id] > 0 {
				t.Error("a session lives of which it was said that it was ended")
			}
		case !errors.Is(err, session.ErrNotFound):
			t.Errorf("Open: %v", err)
		case ended[id] != 1:
			t.Errorf("a session ended, and that was said %d times", ended[id])
		}
	}
	if alive != want {
		t.Errorf("round %d: %d sessions live, want %d", round, alive, want)
	}
}

// The one that logged in first is ended first, and who logs in again is not.
func TestEndOldest(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		next := func() { // logins of one millisecond are of the same age
			for now := time.Now().UnixMilli(); time.Now().UnixMilli() <= now+1; {
				time.Sleep(time.Millisecond)
			}
		}
		var all []session.Session
		for range 4 {
			all = append(all, loggedIn(t, st, session.Login{User: "ada"}))
			next()
		}
		if err := st.Refresh(ctx, all[1].ID()); err != nil {
			t.Fatal(err)
		}
		again, err := st.Login(ctx, session.Token(all[0]), session.Login{User: "ada", MaxSessions: 4})
		if err != nil {
			t.Fatalf("a login of a session that counts already: %v", err)
		}
		next()
		if err := st.Remove(ctx, all[2].ID()); err != nil {
			t.Fatal(err)
		}
		var ended []string
		limited := session.Login{User: "ada", MaxSessions: 2, EndOldest: true, Ended: func(id string) { ended = append(ended, id) }}
		newest, err := st.Login(ctx, session.Token(generate(t, st)), limited)
		if err != nil {
			t.Fatal(err)
		}
		// all[1] and all[3] are older than again; all[2] had ended before.
		if len(ended) != 2 || ended[0] != all[1].ID() && ended[1] != all[1].ID() || ended[0] != all[3].ID() && ended[1] != all[3].ID() {
			t.Errorf("%d sessions were ended, want those two that logged in first", len(ended))
		}
		lists(t, st, "ada", again, newest)
		isAlive(t, st, all[1], false, "the oldest")
		isAlive(t, st, all[3], false, "the next oldest")

		limited.MaxSessions, limited.Ended = 1, nil
		if newest, err = st.Login(ctx, session.Token(newest), limited); err != nil {
			t.Fatal(err)
		}
		lists(t, st, "ada", newest)
	})
}
