package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/postgres"
)

// prolong refreshes all sessions, as Refresh does, and leaves that in progress until
// commit.
func (s *shared) prolong(t *testing.T) (commit func()) {
	t.Helper()
	tx, err := s.other.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE session_records SET seen = seen + 600000000, due = due + 600000000")
	must(t, err)
	return func() { must(t, tx.Commit()) }
}

// waits waits until n calls wait for a lock, or have an answer.
func (s *shared) waits(t *testing.T, n int, results chan error) {
	t.Helper()
	if s.waiting != "" {
		eventually(t, "all wait", func() bool { return count(t, s.other, s.waiting)+len(results) == n })
	}
}

// TestRefreshInProgress lets a refresh that was in time be in progress when the old
// deadline passes: the session lives on for who waited for it, and a revocation ends it.
func TestRefreshInProgress(t *testing.T) {
	t.Parallel()
	for _, s := range shares(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			// On a busy machine a call may begin after the deadline. It has more time then.
			for idle := 700 * time.Millisecond; ; idle *= 4 {
				late, err := s.refreshInProgress(t, idle)
				if err == nil {
					return
				}
				if !late || idle > 10*time.Second {
					t.Fatal(err)
				}
			}
		})
	}
}

// refreshInProgress reports also whether a call may have begun after the deadline. Only
// the big databases tell when the calls wait.
func (s *shared) refreshInProgress(t *testing.T, idle time.Duration) (late bool, err error) {
	t.Helper()
	st := &sql.Store{DB: s.db, OpTimeout: time.Minute, IdleTimeout: idle}
	names := []string{"Set", "Refresh", "Rotate", "Reauthenticate"}
	results := make(chan error, len(names))
	var first, last *victim
	var calls []func()
	for _, call := range faultCalls() {
		if slices.Contains(names, call.name) {
			v := newcomer(t, st)
			if last = v; first == nil {
				first = v
			}
			calls = append(calls, func() {
				err := call.do(t.Context(), st, v)
				if err != nil {
					err = fmt.Errorf("%s: %w", call.name, err)
				}
				results <- err
			})
		}
	}
	commit := s.prolong(t)
	for _, call := range calls {
		go call()
	}
	s.waits(t, len(names), results)
	late = s.waiting == "" || !time.Now().Before(first.session.(session.Describer).Info().IdleDeadline)
	outlive(t, last.session)
	commit()
	for range names {
		err = errors.Join(err, <-results)
	}

	v := newcomer(t, st)
	commit = s.prolong(t)
	outlive(t, v.session)
	go func() {
		_, err := st.RemoveUserSessions(context.WithoutCancel(t.Context()), victimUser)
		results <- err
	}()
	s.waits(t, 1, results)
	commit()
	must(t, <-results)
	if _, e := st.Get(t.Context(), v.id); !errors.Is(e, session.ErrNotFound) {
		return false, errors.Join(err, e, errors.New("after RemoveUserSessions: want ErrNotFound"))
	}
	return late, err
}

// TestLoginDeadBehindLock lets somebody else hold the anonymous session of a login until
// it has expired. An expired session that has the id to come makes the login one of
// several statements on every database.
func TestLoginDeadBehindLock(t *testing.T) {
	t.Parallel()
	for _, s := range shares(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			st := &sql.Store{DB: s.db, OpTimeout: time.Minute, IdleTimeout: 700 * time.Millisecond}
			dead := begun(t, st)
			passSessions(t, st, time.Hour)
			from := begun(t, st)
			unlock := s.lock(t, strings.Replace(s.row, "session_records", "session_records WHERE id = '"+from.ID()+"'", 1))
			result := make(chan error, 1)
			go func() {
				_, err := st.Login(t.Context(), session.Token(from), session.Login{User: victimUser, ID: dead.ID()})
				result <- err
			}()
			s.waits(t, 1, result)
			outlive(t, from)
			unlock()
			if err := <-result; !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			nothingHeld(t, s.name, s.db, s.other)
		})
	}
}

// TestLoginRunsLate lets a server do a login when its caller has given up: no session is
// left that nobody has the token of.
func TestLoginRunsLate(t *testing.T) {
	t.Parallel()
	server := sqltest.SharedPostgres(t)
	url, proxy := server.Database(t), sqltest.NewProxy(t, server)
	s := shares(t)[0]
	s.db, s.other = opened(t, postgres.Open, server.URLAt(proxy, url)), opened(t, postgres.Open, url)
	st := &sql.Store{DB: s.db, OpTimeout: time.Minute}
	st.CleanUpFor(time.Minute) // it waits for the login however busy the machine is
	must(t, st.Remove(t.Context(), newVictim(t, st, st).id))
	var conns [4]*stdsql.Conn // for all, before the proxy refuses more
	for i := range conns {
		var err error
		conns[i], err = s.db.Conn(t.Context())
		must(t, err)
	}
	for _, conn := range conns {
		must(t, conn.Close())
	}
	unlock := s.lock(t, s.user)
	proxy.Refuse(true) // the driver cannot tell the server that the caller has given up
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 2)
	go func() {
		_, err := st.Login(ctx, "", session.Login{User: victimUser})
		result <- err
	}()
	s.waits(t, 1, result)
	cancel()
	eventually(t, "the store waits for the login, or does not", func() bool { return len(result) == 1 || count(t, s.other, s.waiting) == 2 })
	unlock()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	eventually(t, "nobody waits", func() bool { return count(t, s.other, s.waiting) == 0 })
	nothingHeld(t, s.name, s.db, s.other)
	if infos, err := st.UserSessions(t.Context(), victimUser); err != nil || len(infos) != 0 {
		t.Errorf("the user has %d sessions, want none: %v", len(infos), err)
	}
}
