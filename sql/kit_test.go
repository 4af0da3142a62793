package sql_test

import (
	stdsql "database/sql"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

var sieges = flag.Int("sieges", 5, "how often logins are attacked by a revocation")

func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }

// A base is a kind of database, with an empty one for each test.
type base struct {
	name  string
	fresh func(tb testing.TB) *stdsql.DB
}

// parameter is the n-th of a statement.
func (b base) parameter(n int) string {
	if b.name == "postgres" {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// bases are all of them.
func bases() []base {
	return []base{
		{"postgres", func(tb testing.TB) *stdsql.DB {
			tb.Helper()
			return opened(tb, postgres.Open, sqltest.SharedPostgres(tb).Database(tb))
		}},
		{"mariadb", func(tb testing.TB) *stdsql.DB {
			tb.Helper()
			return opened(tb, mysql.Open, sqltest.SharedMariaDB(tb).Database(tb))
		}},
		{"sqlite", func(tb testing.TB) *stdsql.DB {
			tb.Helper()
			return opened(tb, sqlite.Open, "sqlite:"+filepath.Join(tb.TempDir(), "sessions.db"))
		}},
	}
}

func opened(tb testing.TB, open func(url string) (*stdsql.DB, error), url string) *stdsql.DB {
	tb.Helper()
	db, err := open(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// onAll runs a test on a fresh store of every kind.
func onAll(t *testing.T, test func(t *testing.T, st *sql.Store)) {
	t.Helper()
	for _, b := range bases() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, &sql.Store{DB: b.fresh(t), OpTimeout: time.Minute})
		})
	}
}

// must ends a test that cannot go on.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
