package sqltest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/sqltest"
)

func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }

// A kind of servers. Both keep the same promises.
type kind struct {
	name   string
	start  func(tb testing.TB, config ...string) *sqltest.Server
	shared func(tb testing.TB) *sqltest.Server
	sleep  string // of a second
	now    string // of the wall clock, in seconds, as it passes within a statement
	stamp  string // the same, of the transaction or statement
}

var kinds = []kind{
	{
		"PostgreSQL", sqltest.StartPostgres, sqltest.SharedPostgres, "SELECT pg_sleep(1);",
		"SELECT extract(epoch FROM clock_timestamp());", "SELECT extract(epoch FROM now());",
	},
	{
		"MariaDB", sqltest.StartMariaDB, sqltest.SharedMariaDB, "SELECT SLEEP(1);",
		"SELECT UNIX_TIMESTAMP(SYSDATE(6));", "SELECT UNIX_TIMESTAMP(UTC_TIMESTAMP(6));",
	},
}

func want(t *testing.T, s *sqltest.Server, statements string, rows ...string) {
	t.Helper()
	if got := s.SQL(t, statements); got != strings.Join(rows, "\n") {
		t.Errorf("%s\ngives %q, want %q", statements, got, rows)
	}
}
