package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
)

// What no error may repeat.
const (
	victimUser  = "alice-of-the-secret"
	victimValue = "value-of-the-secret"
)

// A victim is a session that faults happen to.
type victim struct {
	id, token string
	session   session.Session // as the store under the fault holds it
}

// newVictim logs in by a store that works, and loads the session in the other one.
func newVictim(tb testing.TB, st, faulty *sql.Store) *victim {
	tb.Helper()
	s, err := st.Login(tb.Context(), "", session.Login{User: victimUser, Values: map[string]any{"k": victimValue}})
	must(tb, err)
	v := &victim{id: s.ID(), token: s.(session.Tokener).Token()}
	v.session, err = faulty.Get(tb.Context(), v.id)
	must(tb, err)
	return v
}

// newcomer logs in, and makes no other call in the short life of its session.
func newcomer(tb testing.TB, st *sql.Store) *victim {
	tb.Helper()
	s, err := st.Login(tb.Context(), "", session.Login{User: victimUser, Values: map[string]any{"k": victimValue}})
	must(tb, err)
	return &victim{id: s.ID(), token: session.Token(s), session: s}
}

// A faultCall is a call of a store about a victim.
type faultCall struct {
	name string
	ends bool // the victim's session, if it is applied
	do   func(ctx context.Context, st *sql.Store, v *victim) error
}

func faultCalls() []faultCall {
	return []faultCall{
		{"Generate", false, func(ctx context.Context, st *sql.Store, v *victim) error {
			_, err := st.Generate(ctx, "new-"+v.id)
			return err
		}},
		{"Open", false, func(ctx context.Context, st *sql.Store, v *victim) error {
			_, err := st.Open(ctx, v.token)
			return err
		}},
		{"Get", false, func(ctx context.Context, st *sql.Store, v *victim) error {
			_, err := st.Get(ctx, v.id)
			return err
		}},
		{"Set", false, func(ctx context.Context, _ *sql.Store, v *victim) error {
			return v.session.Set(ctx, "k2", victimValue)
		}},
		{"Refresh", false, func(ctx context.Context, st *sql.Store, v *victim) error { return st.Refresh(ctx, v.id) }},
		{"Rotate", false, func(ctx context.Context, st *sql.Store, v *victim) error {
			_, err := st.Rotate(ctx, v.token, time.Minute)
			return err
		}},
		{"Remove", true, func(ctx context.Context, st *sql.Store, v *victim) error { return st.Remove(ctx, v.id) }},
		{"Login", false, func(ctx context.Context, st *sql.Store, _ *victim) error {
			_, err := st.Login(ctx, "", session.Login{User: victimUser, MaxSessions: 50})
			return err
		}},
		{"Login without a limit", false, func(ctx context.Context, st *sql.Store, _ *victim) error {
			_, err := st.Login(ctx, "", session.Login{User: victimUser})
			return err
		}},
		{"Reauthenticate", true, func(ctx context.Context, st *sql.Store, v *victim) error {
			_, err := st.Login(ctx, v.token, session.Login{User: victimUser, Reauthentication: true})
			return err
		}},
		{"UserSessions", false, func(ctx context.Context, st *sql.Store, _ *victim) error {
			_, err := st.UserSessions(ctx, victimUser)
			return err
		}},
		{"RemoveUserSessions", true, func(ctx context.Context, st *sql.Store, _ *victim) error {
			_, err := st.RemoveUserSessions(ctx, victimUser)
			return err
		}},
	}
}

// outage tells whether an error is one of a database that fails, and nothing else.
func outage(t *testing.T, name string, err error, v *victim) {
	t.Helper()
	if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrExists) || errors.Is(err, session.ErrFull) {
		t.Errorf("%s: got %v, want an error of the database", name, err)
		return
	}
	discreet(t, name, err, v)
}

func discreet(t *testing.T, name string, err error, v *victim) {
	t.Helper()
	secrets := []string{victimUser, victimValue, "://", "password="}
	if v != nil {
		_, secret, _ := strings.Cut(v.token, ".")
		secrets = append(secrets, v.id, v.token, secret)
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error %q repeats %q", name, err, secret)
		}
	}
}

// eventually waits for what happens soon.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("never: %s", what)
		}
	}
}

// outlive waits until the idle deadline that a session was loaded with has passed.
func outlive(tb testing.TB, s session.Session) {
	tb.Helper()
	end := s.(session.Describer).Info().IdleDeadline
	eventually(tb, "the deadline passes", func() bool { return time.Now().After(end) })
}

// count asks for a number.
func count(tb testing.TB, db *stdsql.DB, query string) (n int) {
	tb.Helper()
	must(tb, db.QueryRowContext(tb.Context(), query).Scan(&n))
	return n
}

// openOnPostgres counts transactions that nobody goes on with.
const openOnPostgres = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"

// nothingHeld checks that a fault has left no connection in use and no transaction open.
func nothingHeld(tb testing.TB, kind string, faulty, db *stdsql.DB) {
	tb.Helper()
	eventually(tb, "no connection in use", func() bool { return faulty.Stats().InUse == 0 })
	switch kind {
	case "postgres":
		eventually(tb, "no transaction open", func() bool { return count(tb, db, openOnPostgres) == 0 })
	case "mariadb":
		eventually(tb, "no row locked", func() bool {
			for _, table := range []string{"session_records", "session_users"} {
				rows, err := db.QueryContext(tb.Context(), "SELECT * FROM "+table+" FOR UPDATE NOWAIT")
				if err != nil {
					return false
				}
				for rows.Next() {
					continue
				}
				if rows.Err() != nil || rows.Close() != nil {
					return false
				}
			}
			return true
		})
	}
}

// TestNetworkFaults breaks the way to the server before and after each request of each
// call, and in the middle of each answer.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name   string
		server func(tb testing.TB) *sqltest.Server
		open   func(url string) (*stdsql.DB, error)
	}{
		{"postgres", sqltest.SharedPostgres, postgres.Open},
		{"mariadb", sqltest.SharedMariaDB, mysql.Open},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			server := kind.server(t)
			url, proxy := server.Database(t), sqltest.NewProxy(t, server)
			st := &sql.Store{DB: opened(t, kind.open, url), OpTimeout: time.Minute}
			faulty := &sql.Store{DB: opened(t, kind.open, server.URLAt(proxy, url)), OpTimeout: time.Minute}
			faulty.CleanUpFor(time.Minute) // on a busy machine it may take long
			must(t, st.Migrate(t.Context()))
			for _, call := range faultCalls() {
				v := newVictim(t, st, faulty)
				proxy.Refuse(true)
				proxy.Cut()
				outage(t, call.name+", refused", call.do(t.Context(), faulty, v), v)
				proxy.Refuse(false)
				survives(t, call.name+", refused", st, v)
				for _, fault := range []struct {
					name string
					set  func()
				}{
					{"reply lost", func() { proxy.LoseReply(1) }},
					{"reply cut", func() { proxy.CutReply(3) }},
				} {
					for request := int64(1); breaks(t, call, fault.name, fault.set, proxy, request, st, faulty); request++ {
						continue
					}
				}
			}
			nothingHeld(t, kind.name, faulty.DB, st.DB)
		})
	}
}

// breaks lets a request of a call fail. It returns false where there are not so many.
func breaks(t *testing.T, call faultCall, fault string, set func(), proxy *sqltest.Proxy, request int64, st, faulty *sql.Store) bool {
	t.Helper()
	_, err := st.RemoveUserSessions(t.Context(), victimUser)
	must(t, err)
	v := newVictim(t, st, faulty)
	must(t, call.do(t.Context(), faulty, newVictim(t, st, faulty))) // the connection has its statements
	if call.name == "RemoveUserSessions" {
		v = newVictim(t, st, faulty)
	}
	before, err := st.UserSessions(t.Context(), victimUser)
	must(t, err)
	var requests atomic.Int64
	proxy.Match(func([]byte) bool { return requests.Add(1) == request })
	set()
	err = call.do(t.Context(), faulty, v)
	hit := requests.Load() >= request
	proxy.Match(nil)
	proxy.LoseReply(0)
	proxy.CutReply(-1)
	name := call.name + ", " + fault
	if !hit {
		if err != nil {
			t.Errorf("%s: got %v without a fault", name, err)
		}
		return false
	}
	outage(t, name, err, v)
	if !call.ends {
		survives(t, name, st, v)
		after, err := st.UserSessions(t.Context(), victimUser)
		if err != nil || len(after) != len(before) {
			t.Errorf("%s: got %d sessions of the user, %v, want %d as before", name, len(after), err, len(before))
		}
	}
	return true
}

// survives checks that a fault has logged nobody out.
func survives(t *testing.T, name string, st *sql.Store, v *victim) {
	t.Helper()
	s, err := st.Open(t.Context(), v.token)
	if err != nil {
		t.Errorf("%s: got %v afterwards, want the session", name, err)
		return
	}
	if got, err := s.Get(t.Context(), "k"); err != nil || got != victimValue {
		t.Errorf("%s: got %v, %v afterwards, want the value", name, got, err)
	}
}
