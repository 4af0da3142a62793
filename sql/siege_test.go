package sql_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// at runs f in n goroutines at once.
func at(n int, f func(i int) error) error {
	var all sync.WaitGroup
	errs, start := make([]error, n), make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	all.Wait()
	return errors.Join(errs...)
}

// begun makes a session without a user.
func begun(t *testing.T, st *sql.Store) session.Session {
	t.Helper()
	s, err := st.Generate(t.Context(), uuid.NewString())
	must(t, err)
	return s
}

// TestWriters: 64 requests of one session write a key each, and add to a counter, and
// nothing is lost.
func TestWriters(t *testing.T) {
	t.Parallel()
	const writers = 64
	onAll(t, func(t *testing.T, st *sql.Store) {
		clientToken := session.Token(begun(t, st))
		must(t, at(writers, func(i int) error {
			s, err := st.Open(t.Context(), clientToken)
			if err != nil {
				return err
			}
			add := func(old any) (any, error) {
				n, _ := old.(int)
				return n + 1, nil
			}
			return errors.Join(s.Set(t.Context(), fmt.Sprint("key", i), i), session.Update(t.Context(), s, "counter", add))
		}))
		s, err := st.Open(t.Context(), clientToken)
		must(t, err)
		for i := range writers {
			if v, err := s.Get(t.Context(), fmt.Sprint("key", i)); v != i || err != nil {
				t.Errorf("key %d: %v, %v", i, v, err)
			}
		}
		if v, err := s.Get(t.Context(), "counter"); v != writers || err != nil {
			t.Errorf("the counter is %v after %d times: %v", v, writers, err)
		}
	})
}

// TestRevokeWins: when RemoveUserSessions returns, no session is alive of the 64 logins
// that were in progress, which come from an anonymous session or from none.
func TestRevokeWins(t *testing.T) {
	t.Parallel()
	const logins = 64
	onAll(t, func(t *testing.T, st *sql.Store) {
		ctx := t.Context()
		for round := range *sieges {
			user := fmt.Sprint("user", round)
			clientToken := make([]string, logins)
			for i := 0; i < logins; i += 4 {
				clientToken[i] = session.Token(begun(t, st))
			}
			in, began := make([]session.Session, logins), time.Now()
			var none sync.WaitGroup
			none.Add(logins / 8) // of them have logged in before the revocation
			must(t, at(logins+1, func(i int) error {
				if i == logins {
					none.Wait()
					_, err := st.RemoveUserSessions(ctx, user)
					if err != nil {
						return err
					}
					infos, err := st.UserSessions(ctx, user)
					if err == nil && len(infos) > 0 {
						err = fmt.Errorf("%d sessions after the revocation", len(infos))
					}
					return err
				}
				if i < logins/8 {
					defer none.Done()
				}
				s, err := st.Login(ctx, clientToken[i], session.Login{User: user, Began: began})
				if errors.Is(err, session.ErrRevoked) {
					return nil
				}
				in[i] = s
				return err
			}))
			for i, s := range in {
				if s == nil {
					if i < logins/8 {
						t.Fatalf("round %d: a login from before the revocation was refused", round)
					}
					continue
				}
				if _, err := st.Open(ctx, session.Token(s)); !errors.Is(err, session.ErrNotFound) {
					t.Fatalf("round %d: a session is alive: %v", round, err)
				}
			}
		}
	})
}

// TestLimitExact: of many logins at once as many succeed, or stay, as the limit says.
func TestLimitExact(t *testing.T) {
	t.Parallel()
	const logins, limit = 24, 3
	onAll(t, func(t *testing.T, st *sql.Store) {
		for _, oldest := range []bool{false, true} {
			l := session.Login{User: fmt.Sprint("ada", oldest), MaxSessions: limit, EndOldest: oldest}
			var mu sync.Mutex
			in, ended := 0, 0
			l.Ended = func(string) {
				mu.Lock()
				defer mu.Unlock()
				ended++
			}
			must(t, at(logins, func(int) error {
				_, err := st.Login(t.Context(), "", l)
				switch {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					in++
				case !oldest && errors.Is(err, session.ErrUserLimit):
					err = nil
				}
				return err
			}))
			infos, err := st.UserSessions(t.Context(), l.User)
			must(t, err)
			if len(infos) != limit || in-ended != limit {
				t.Errorf("oldest %v: %d sessions after %d logins and %d that ended, want %d", oldest, len(infos), in, ended, limit)
			}
		}
	})
}

// TestRotationRace: all who rotate one token end with one, and it is good.
func TestRotationRace(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		clientToken := session.Token(begun(t, st))
		tokens := make([]string, 32)
		must(t, at(len(tokens), func(i int) error {
			s, err := st.Rotate(t.Context(), clientToken, time.Minute)
			if err == nil {
				tokens[i] = session.Token(s)
			}
			return err
		}))
		for _, token := range tokens {
			if token != tokens[0] || token == clientToken {
				t.Fatal("not all have the same new token")
			}
		}
		_, err := st.Open(t.Context(), tokens[0])
		must(t, err)
	})
}

// TestStaysDead: nothing that is in progress brings a session back that Remove has ended.
func TestStaysDead(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		for range 5 {
			s := begun(t, st)
			clientToken := session.Token(s)
			calls := []func(ctx context.Context) error{
				func(ctx context.Context) error { return st.Refresh(ctx, s.ID()) },
				func(ctx context.Context) error { return s.Set(ctx, "late", 1) },
				func(ctx context.Context) error { _, err := st.Rotate(ctx, clientToken, time.Minute); return err },
				func(ctx context.Context) error { _, err := session.Pop(ctx, s, "late"); return err },
				func(ctx context.Context) error { return st.Remove(ctx, s.ID()) },
			}
			must(t, at(4*len(calls), func(i int) error {
				if err := calls[i%len(calls)](t.Context()); !errors.Is(err, session.ErrNotFound) {
					return err
				}
				return nil
			}))
			if _, err := st.Get(t.Context(), s.ID()); !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("after Remove: %v", err)
			}
		}
	})
}
