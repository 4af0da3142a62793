package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

// A shared is a database that somebody else uses, too.
type shared struct {
	name      string
	db, other *stdsql.DB
	row, user string // locks them
	waiting   string // counts who waits for a lock; empty: unknown
}

func shares(tb testing.TB) []shared {
	tb.Helper()
	const row, user = "SELECT id FROM session_records FOR UPDATE", "SELECT name FROM session_users FOR UPDATE"
	pg, maria, file := sqltest.SharedPostgres(tb).Database(tb), sqltest.SharedMariaDB(tb).Database(tb), "sqlite:"+filepath.Join(tb.TempDir(), "f")
	return []shared{
		{
			"postgres", opened(tb, postgres.Open, pg), opened(tb, postgres.Open, pg), row, user,
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
		},
		{
			"mariadb", opened(tb, mysql.Open, maria), opened(tb, mysql.Open, maria), row, user,
			"SELECT count(*) FROM information_schema.processlist WHERE db = database() AND id <> connection_id() AND command <> 'Sleep'",
		},
		// Its transactions lock all there is.
		{"sqlite", opened(tb, sqlite.Open, file), opened(tb, sqlite.Open, file), "SELECT id FROM session_records", "SELECT name FROM session_users", ""},
	}
}

// lock locks rows until unlock.
func (s *shared) lock(t *testing.T, statement string) (unlock func()) {
	t.Helper()
	tx, err := s.other.BeginTx(t.Context(), nil)
	must(t, err)
	rows, err := tx.QueryContext(t.Context(), statement)
	must(t, err)
	for rows.Next() {
		continue
	}
	must(t, rows.Err())
	must(t, rows.Close())
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// TestLockedByOthers lets somebody else hold the rows for longer than a call may take.
func TestLockedByOthers(t *testing.T) {
	t.Parallel()
	for _, s := range shares(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			st := &sql.Store{DB: s.db, OpTimeout: 5 * time.Second} // of a call that did not look at its context
			truth := &sql.Store{DB: s.other, OpTimeout: time.Minute}
			v := newVictim(t, truth, st)
			for _, lock := range []struct {
				statement string
				calls     []string
			}{
				{s.row, []string{"Set", "Refresh", "Rotate", "Remove", "Reauthenticate"}},
				{s.user, []string{"Login", "Login without a limit", "Reauthenticate", "RemoveUserSessions"}},
			} {
				// MariaDB does what it was asked also when nobody waits for it any more, but a
				// login only before its caller has given up.
				ended, again := newVictim(t, truth, st), newVictim(t, truth, st)
				before, err := truth.UserSessions(t.Context(), victimUser)
				must(t, err)
				unlock := s.lock(t, lock.statement)
				for _, call := range faultCalls() {
					if !slices.Contains(lock.calls, call.name) {
						continue
					}
					of := v
					switch {
					case call.name == "Reauthenticate":
						of = again
					case call.ends:
						of = ended
					}
					late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					waits(late, t, call, st, of)
					cancel()
					if strings.HasPrefix(call.name, "Login") || call.name == "Reauthenticate" {
						continue // whose context says when it ends
					}
					canceled, cancel := context.WithCancel(t.Context())
					time.AfterFunc(100*time.Millisecond, cancel)
					waits(canceled, t, call, st, of)
				}
				unlock()
				nothingHeld(t, s.name, s.db, s.other)
				survives(t, "after a lock", st, v)
				survives(t, "Reauthenticate", st, again)
				after, err := truth.UserSessions(t.Context(), victimUser)
				must(t, err)
				for _, info := range after {
					if !slices.ContainsFunc(before, func(b session.Info) bool { return b.ID == info.ID }) {
						t.Error("a login whose caller had given up began a session")
					}
				}
			}
		})
	}
}

// waits makes a call that cannot go on before its context ends.
func waits(ctx context.Context, t *testing.T, call faultCall, st *sql.Store, v *victim) {
	t.Helper()
	err := call.do(ctx, st, v)
	outage(t, call.name, err, v)
	if !errors.Is(err, ctx.Err()) {
		t.Errorf("%s: got %v, want %v", call.name, err, ctx.Err())
	}
}

// TestDeadBehindLock lets somebody else hold the row until the session has expired: who
// waited does not bring it back.
func TestDeadBehindLock(t *testing.T) {
	t.Parallel()
	for _, s := range shares(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			st := &sql.Store{DB: s.db, OpTimeout: time.Minute, IdleTimeout: 700 * time.Millisecond}
			results, victims := map[string]chan error{}, map[string]*victim{}
			for _, call := range faultCalls() {
				if slices.Contains([]string{"Set", "Refresh", "Rotate", "Reauthenticate"}, call.name) {
					victims[call.name], results[call.name] = newcomer(t, st), make(chan error, 1)
				}
			}
			unlock := s.lock(t, s.row)
			for _, call := range faultCalls() {
				if v := victims[call.name]; v != nil {
					go func() { results[call.name] <- call.do(t.Context(), st, v) }()
				}
			}
			if s.waiting != "" {
				eventually(t, "all wait", func() bool {
					n := count(t, s.other, s.waiting)
					for _, result := range results {
						n += len(result) // on a busy machine the call began after the deadline
					}
					return n == len(results)
				})
			}
			for _, v := range victims {
				eventually(t, "the session expires", func() bool {
					_, err := st.Get(t.Context(), v.id)
					return errors.Is(err, session.ErrNotFound)
				})
			}
			unlock()
			for name, result := range results {
				if err := <-result; !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v, want ErrNotFound", name, err)
				}
				if _, err := st.Get(t.Context(), victims[name].id); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v afterwards, want that the dead stay dead", name, err)
				}
			}
			nothingHeld(t, s.name, s.db, s.other)
		})
	}
}

// TestLateLogin lets PostgreSQL not hear that the caller of a login has given up. When
// the lock is gone, the server goes on, and nobody is logged in.
func TestLateLogin(t *testing.T) {
	t.Parallel()
	server := sqltest.SharedPostgres(t)
	url, proxy := server.Database(t), sqltest.NewProxy(t, server)
	s := shared{db: opened(t, postgres.Open, server.URLAt(proxy, url)), other: opened(t, postgres.Open, url)}
	st, truth := &sql.Store{DB: s.db, OpTimeout: time.Minute}, &sql.Store{DB: s.other, OpTimeout: time.Minute}
	login := func(ctx context.Context) error {
		_, err := st.Login(ctx, "", session.Login{User: victimUser})
		return err
	}
	must(t, login(t.Context())) // the connection has its statements
	unlock := s.lock(t, "SELECT name FROM session_users FOR UPDATE")
	proxy.Refuse(true) // the request to cancel, which is a connection of its own
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := login(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	unlock()
	proxy.Refuse(false)
	eventually(t, "the server is done", func() bool {
		return count(t, s.other, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()") == 0
	})
	nothingHeld(t, "postgres", s.db, s.other)
	infos, err := truth.UserSessions(t.Context(), victimUser)
	if err != nil || len(infos) != 1 {
		t.Errorf("got %d sessions, %v, want the one from before", len(infos), err)
	}
}

// TestRevokedBehindLock lets a login wait in its statement, for a row that somebody else
// holds: a revocation waits for it and ends its session, or goes first and the login is
// refused. SQLite has one writer at a time.
func TestRevokedBehindLock(t *testing.T) {
	t.Parallel()
	const id = "taken"
	for _, s := range shares(t)[:2] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			st := &sql.Store{DB: s.db, OpTimeout: time.Minute}
			_, err := st.RemoveUserSessions(t.Context(), victimUser) // the slot has its row
			must(t, err)
			for _, lock := range []string{
				s.row,
				"INSERT INTO session_records (id, incarnation, version, secret, created, seen, idle, ends, due, level, login_at, persistent) " +
					"SELECT '" + id + "', incarnation, version, secret, created, seen, idle, ends, due, level, login_at, persistent FROM session_records",
			} {
				_, err = s.other.ExecContext(t.Context(), "DELETE FROM session_records")
				must(t, err)
				clientToken := session.Token(begun(t, st))
				if lock != s.row { // it copies the row, and is in the way of a new session
					clientToken = ""
				}
				unlock := s.lock(t, lock)
				var loggedIn session.Session
				login, revocation := make(chan error, 1), make(chan error, 1)
				go func() {
					var err error
					loggedIn, err = st.Login(t.Context(), clientToken, session.Login{User: victimUser, ID: id})
					login <- err
				}()
				eventually(t, "the login waits", func() bool { return count(t, s.other, s.waiting) == 1 })
				go func() {
					_, err := st.RemoveUserSessions(t.Context(), victimUser)
					revocation <- err
				}()
				eventually(t, "the revocation waits or is done", func() bool {
					return len(revocation) > 0 || count(t, s.other, s.waiting) == 2
				})
				unlock()
				must(t, <-revocation)
				err = <-login
				if errors.Is(err, session.ErrRevoked) {
					continue
				}
				must(t, err)
				if _, err := st.Open(t.Context(), session.Token(loggedIn)); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%q: got %v after the revocation, want ErrNotFound", lock, err)
				}
				nothingHeld(t, s.name, s.db, s.other)
			}
		})
	}
}

// TestDeadBehindPool lets somebody else hold the only connection until the session has
// expired: who waited does not bring it back.
func TestDeadBehindPool(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		st.IdleTimeout = 300 * time.Millisecond
		st.DB.SetMaxOpenConns(1)
		first, err := st.Login(t.Context(), "", session.Login{User: victimUser, IdleTimeout: time.Hour})
		must(t, err)
		must(t, st.Refresh(t.Context(), first.ID())) // the connection has its statements
		v := newcomer(t, st)
		conn, err := st.DB.Conn(t.Context())
		must(t, err)
		before, result := st.DB.Stats().WaitCount, make(chan error, 1)
		go func() { result <- st.Refresh(t.Context(), v.id) }()
		eventually(t, "it waits", func() bool { return st.DB.Stats().WaitCount > before })
		outlive(t, v.session)
		must(t, conn.Close())
		if err := <-result; !errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if _, err := st.Get(t.Context(), v.id); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v afterwards, want that the dead stay dead", err)
		}
	})
}
