package sql_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// pass lets time pass for all rows.
func pass(tb testing.TB, st *sql.Store, d time.Duration) {
	tb.Helper()
	passSessions(tb, st, d)
	n := d.Microseconds()
	_, err := st.DB.ExecContext(tb.Context(), fmt.Sprintf("UPDATE session_users SET revoked = revoked - %d, until = until - %d WHERE slot = 0", n, n))
	must(tb, err)
}

// passSessions lets time pass for sessions.
func passSessions(tb testing.TB, st *sql.Store, d time.Duration) {
	tb.Helper()
	n := d.Microseconds()
	_, err := st.DB.ExecContext(tb.Context(), fmt.Sprintf("UPDATE session_records SET created = created - %d, seen = seen - %d, ends = ends - %d, "+
		"due = due - %d, login_at = CASE WHEN account IS NULL THEN 0 ELSE login_at - %d END", n, n, n, n, n))
	must(tb, err)
	old := make(map[string][]byte)
	found, err := st.DB.QueryContext(tb.Context(), "SELECT id, old_secrets FROM session_records WHERE old_secrets IS NOT NULL")
	must(tb, err)
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id string
		var secrets []byte
		must(tb, found.Scan(&id, &secrets))
		old[id] = secrets
	}
	must(tb, found.Err())
	for id, secrets := range old {
		if len(secrets) > 0 {
			passSecrets(secrets, n)
			_, err := st.DB.ExecContext(tb.Context(), "UPDATE session_records SET version = version + 1, old_secrets = "+literal(st, secrets)+" WHERE id = '"+id+"'")
			must(tb, err)
		}
	}
}

// literal is how a database writes bytes.
func literal(st *sql.Store, b []byte) string {
	if _, postgres := st.DB.Driver().(*stdlib.Driver); postgres {
		return fmt.Sprintf("'\\x%x'", b)
	}
	return fmt.Sprintf("x'%x'", b)
}

// passSecrets lets time pass for the bytes of [token.Secrets.Old].
func passSecrets(b []byte, n int64) {
	shift := func(at []byte) {
		if t := binary.BigEndian.Uint64(at); t != math.MaxInt64 {
			binary.BigEndian.PutUint64(at, t-uint64(n))
		}
	}
	if b[0] == 0xff { // of a device
		b = b[3+int(binary.BigEndian.Uint16(b[1:])):]
		shift(b) // the end of the newest
		used := int(b[8])
		for b = b[9:]; used > 0; used, b = used-1, b[16:] {
			shift(b[8:])
		}
	}
	for b = b[1+8*int(b[0]):]; len(b) > 0; b = b[32+16+3*8:] {
		shift(b[32+16:])     // when it was replaced
		shift(b[32+16+2*8:]) // the end of its grace
	}
}

// rows counts the rows of a table.
func rows(t *testing.T, st *sql.Store, table string) (n int) {
	t.Helper()
	must(t, st.DB.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

// TestSweep: Sweep removes what has expired for an idle timeout, and nothing that lives,
// however often it was refreshed.
func TestSweep(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		st.IdleTimeout = time.Hour
		var kept []session.Session
		for i := range 40 {
			s, err := st.Generate(t.Context(), fmt.Sprint(i))
			must(t, err)
			if i%4 == 0 {
				kept = append(kept, s)
			}
		}
		for i := range 10 {
			s, err := st.Login(t.Context(), "", session.Login{User: "ada", IdleTimeout: 12 * time.Hour, ID: fmt.Sprint("ada", i)})
			must(t, err)
			kept = append(kept, s)
		}
		_, err := st.RemoveUserSessions(t.Context(), "bob")
		must(t, err)
		const users = "session_users WHERE slot = 0"
		if n := rows(t, st, users); n != 1 {
			t.Errorf("%d users are kept, want the one whose sessions were revoked", n)
		}
		for range 9 {
			pass(t, st, 50*time.Minute)
			_, err := st.Sweep(t.Context())
			must(t, err)
			for _, s := range kept {
				must(t, st.Refresh(t.Context(), s.ID()))
			}
		}
		for _, s := range kept {
			if _, err := st.Open(t.Context(), session.Token(s)); err != nil {
				t.Fatalf("a session that lives is gone: %v", err)
			}
		}
		if n := rows(t, st, "session_records"); n != len(kept) {
			t.Errorf("%d rows, want those %d that live", n, len(kept))
		}
		if n := rows(t, st, users); n != 0 {
			t.Errorf("%d users are kept of whom nothing needs to be known", n)
		}
		pass(t, st, 12*time.Hour)
		if n, err := st.Sweep(t.Context()); n != len(kept) || err != nil {
			t.Errorf("Sweep removed %d of %d: %v", n, len(kept), err)
		}
	})
}

// TestTidy: calls that make sessions remove more than they make, and a session is gone
// at its deadline whether or not its row is.
func TestTidy(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		const old = 200
		for i := range old {
			s, err := st.Generate(t.Context(), fmt.Sprint("old", i))
			must(t, err)
			if i == old-1 {
				pass(t, st, 30*time.Minute)
				if _, err := st.Get(t.Context(), s.ID()); !errors.Is(err, session.ErrNotFound) {
					t.Fatalf("at its deadline: %v", err)
				}
			}
		}
		pass(t, st, 30*time.Minute)
		before := rows(t, st, "session_records")
		st = &sql.Store{DB: st.DB, OpTimeout: time.Minute} // st has swept up to the present, which is now the past
		st.CleanUpFor(time.Minute)
		for i := range 64 {
			_, err := st.Generate(t.Context(), fmt.Sprint("new", i))
			must(t, err)
		}
		if n := rows(t, st, "session_records"); n != 64 {
			t.Errorf("%d rows after %d and 64 sessions, want the 64 that live", n, before)
		}
	})
}

// TestSweepLive: a row that says too early that it is due is not removed.
func TestSweepLive(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		dead := begun(t, st)
		passSessions(t, st, time.Hour)
		live := begun(t, st)
		_, err := st.DB.ExecContext(t.Context(), "UPDATE session_records SET due = 1")
		must(t, err)
		if n, err := st.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("Sweep removed %d, want 1: %v", n, err)
		}
		_, err = st.Get(t.Context(), live.ID())
		must(t, err)
		if n := rows(t, st, "session_records WHERE id = '"+dead.ID()+"'"); n != 0 {
			t.Error("a session that is dead was not removed")
		}
	})
}

// TestSweepBegins: on PostgreSQL, calls that make sessions look for rows where the last
// such call has ended. Rows before that are removed all the same, by Sweep at once.
func TestSweepBegins(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		st.CleanUpFor(time.Minute)
		made := 0
		grow := func(to int) {
			t.Helper()
			for ; made < to; made++ {
				_, err := st.Generate(t.Context(), fmt.Sprint(made))
				must(t, err)
			}
		}
		end := func(id int, at string) {
			t.Helper()
			_, err := st.DB.ExecContext(t.Context(), fmt.Sprintf("UPDATE session_records SET due = %s, ends = %s WHERE id = '%d'", at, at, id))
			must(t, err)
		}
		grow(16)
		end(0, "1")
		grow(24)
		end(20, "created")
		grow(32)
		want := 30
		if strings.HasSuffix(t.Name(), "postgres") {
			want++
		}
		if n := rows(t, st, "session_records"); n != want {
			t.Errorf("%d rows after 32 sessions, want %d", n, want)
		}
		st.Skip(1<<14 - 48)
		grow(48)
		if n := rows(t, st, "session_records"); n != 46 {
			t.Errorf("%d rows after many sessions, want the 46 that live", n)
		}
		end(1, "1")
		if n, err := st.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("Sweep removed %d, %v", n, err)
		}
		st = &sql.Store{DB: st.DB, OpTimeout: time.Minute}
		st.CleanUpFor(time.Minute)
		_, err := st.Sweep(t.Context())
		must(t, err)
		end(2, "1")
		grow(64)
		if n := rows(t, st, "session_records"); n != want+30 {
			t.Errorf("%d rows after Sweep and 16 sessions, want %d", n, want+30)
		}
	})
}
