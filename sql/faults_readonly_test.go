package sql_test

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"path"
	"path/filepath"
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

// A replica is a store whose database refuses each write for a while.
type replica struct {
	name      string
	st, truth *sql.Store // truth has the same database, and may write all the time
	statement string     // makes the database read-only
}

func newReplica(tb testing.TB, name, statement string, open func(url string) (*stdsql.DB, error), url, truth string) *replica {
	tb.Helper()
	return &replica{
		name: name, statement: statement,
		st:    &sql.Store{DB: opened(tb, open, url), OpTimeout: time.Minute},
		truth: &sql.Store{DB: opened(tb, open, truth), OpTimeout: time.Minute},
	}
}

func postgresReplica(tb testing.TB, url, truth string) *replica {
	tb.Helper()
	database := path.Base(strings.Split(url, "?")[0])
	return newReplica(tb, "postgres", "ALTER DATABASE "+database+" SET default_transaction_read_only", postgres.Open,
		url, addSetting(truth, "default_transaction_read_only=off"))
}

// mariadbReplica lets the store be a user who may not write while the server, which is
// the test's own, is read-only.
func mariadbReplica(tb testing.TB, server *sqltest.Server, url string) *replica {
	tb.Helper()
	server.SQL(tb, "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'secret'; GRANT ALL ON tests.* TO app@'127.0.0.1'")
	return newReplica(tb, "mariadb", "SET GLOBAL read_only", mysql.Open, strings.Replace(url, "tester", "app", 1), server.URL())
}

func sqliteReplica(tb testing.TB) *replica {
	tb.Helper()
	url := "sqlite:" + filepath.Join(tb.TempDir(), "f")
	r := newReplica(tb, "sqlite", "PRAGMA query_only", sqlite.Open, url, url)
	r.st.DB.SetMaxOpenConns(1) // which has the setting
	return r
}

// refuse says whether the database refuses writes.
func (r *replica) refuse(t *testing.T, yes bool) {
	t.Helper()
	db := r.truth.DB
	if r.name == "sqlite" {
		db = r.st.DB
	}
	_, err := db.ExecContext(t.Context(), fmt.Sprintf("%s = %t", r.statement, yes))
	must(t, err)
	if r.name == "postgres" { // asks new connections only
		reconnect(r.st.DB)
	}
}

// reconnect closes the connections of a pool that nobody uses.
func reconnect(db *stdsql.DB) {
	db.SetMaxIdleConns(-1)
	db.SetMaxIdleConns(4)
}

// TestReadOnly lets the database refuse each write, and then take them again.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	url, maria := sqltest.SharedPostgres(t).Database(t), sqltest.StartMariaDB(t)
	for _, r := range []*replica{postgresReplica(t, url, url), mariadbReplica(t, maria, maria.URL()), sqliteReplica(t)} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range faultCalls() { // the store has its statements
				must(t, c.do(t.Context(), r.st, newVictim(t, r.truth, r.st)))
			}
			v := newVictim(t, r.truth, r.st)
			r.refuse(t, true)
			refusesWrites(t, r.st, r.truth, v)
			r.refuse(t, false)
			for _, c := range faultCalls() {
				if err := c.do(t.Context(), r.st, newVictim(t, r.truth, r.st)); err != nil {
					t.Errorf("%s: got %v, when the database may be written again", c.name, err)
				}
			}
			nothingHeld(t, r.name, r.st.DB, r.truth.DB)
		})
	}
}

// TestReadOnlyFile opens a file of SQLite for reading.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	truth := &sql.Store{DB: opened(t, sqlite.Open, "sqlite:"+file), OpTimeout: time.Minute}
	must(t, truth.Migrate(t.Context()))
	st := &sql.Store{DB: opened(t, func(dsn string) (*stdsql.DB, error) { return stdsql.Open("sqlite", dsn) }, "file:"+file+"?mode=ro")}
	refusesWrites(t, st, truth, newVictim(t, truth, st))
}

// refusesWrites makes each call to a store whose database refuses writes. What writes
// fails, and nothing has changed.
func refusesWrites(t *testing.T, st, truth *sql.Store, v *victim) {
	t.Helper()
	before := dump(t, truth.DB)
	for _, c := range faultCalls() {
		switch err := c.do(t.Context(), st, v); c.name {
		case "Open", "Get", "UserSessions":
			if err != nil {
				t.Errorf("%s: got %v, want what the database can still read", c.name, err)
			}
		default:
			outage(t, c.name, err, v)
		}
	}
	// Nobody is told that they have no session. A token that was not seen before has to be
	// noted.
	if _, err := st.Open(t.Context(), "nobody.x"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Open of a stranger: got %v, want ErrNotFound", err)
	}
	survives(t, "read-only", st, v)
	if after := dump(t, truth.DB); after != before {
		t.Error("a database that refuses writes has changed")
	}
	s, err := truth.Rotate(t.Context(), v.token, time.Minute)
	must(t, err)
	if _, err := st.Open(t.Context(), session.Token(s)); err != nil {
		outage(t, "Open of a new token", err, v)
	}
	survives(t, "rotated", truth, &victim{token: session.Token(s)})
	v.token = session.Token(s)
}

// dump returns all sessions and users.
func dump(t *testing.T, db *stdsql.DB) string {
	t.Helper()
	var all strings.Builder
	for _, query := range []string{"SELECT * FROM session_records ORDER BY id", "SELECT * FROM session_users ORDER BY name, slot"} {
		rows, err := db.QueryContext(t.Context(), query)
		must(t, err)
		columns, err := rows.Columns()
		must(t, err)
		for rows.Next() {
			row := make([]any, len(columns))
			for i := range row {
				row[i] = new(any)
			}
			must(t, rows.Scan(row...))
			for i := range row {
				_, _ = fmt.Fprintf(&all, "%v ", *row[i].(*any))
			}
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
	return all.String()
}
