package sql_test

import (
	"context"
	stdsql "database/sql"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
)

var million = flag.Int("million", 1_000_000, "how many sessions the largest tables of benchmarks have, 100000 or more")

// roomy are all kinds of database, with as much memory as a server of a million sessions
// needs.
func roomy() []base {
	all := bases()
	all[0].fresh = func(tb testing.TB) *stdsql.DB {
		tb.Helper()
		return opened(tb, postgres.Open, sqltest.StartPostgres(tb, "shared_buffers=1GB", "max_wal_size=1GB").URL())
	}
	all[1].fresh = func(tb testing.TB) *stdsql.DB {
		tb.Helper()
		return opened(tb, mysql.Open, sqltest.StartMariaDB(tb, "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M").URL()+"?readTimeout=10m")
	}
	return all
}

// BenchmarkGrowth shows that calls take hardly longer where there are many sessions: a
// read loads a random session and reads a value, a write loads one and stores a value, a
// login logs a random user in and ends the session that the user had. It reports how many
// of them are answered in a second among the most sessions, and what share that is of
// those among fewer.
func BenchmarkGrowth(b *testing.B) {
	for _, base := range roomy() {
		b.Run(base.name, func(b *testing.B) {
			var crowds []*crowd
			for _, n := range []int{*million, *million / 10, *million / 100} {
				c := newCrowd(b, base, roomyStore(b, base), n)
				c.settle(b, base)
				c.name = fmt.Sprintf("%.0e", float64(n))
				crowds = append(crowds, c)
			}
			compare(b, crowds...)
		})
	}
}

func roomyStore(b *testing.B, base base) *sql.Store {
	b.Helper()
	return &sql.Store{DB: base.fresh(b), OpTimeout: time.Minute, IdleTimeout: 6 * time.Hour}
}

// compare measures reads, writes and logins in turn in several crowds.
func compare(b *testing.B, crowds ...*crowd) {
	b.Helper()
	for _, call := range []struct {
		name string
		do   func(c *crowd, ctx context.Context) error
	}{{"read", (*crowd).read}, {"write", (*crowd).write}, {"login", (*crowd).login}} {
		b.Run(call.name, func(b *testing.B) {
			var sides []side
			for _, c := range crowds {
				one := func(int) error { return call.do(c, b.Context()) }
				for n := range 1000 { // so that statements are prepared, and pages in memory
					must(b, one(n))
				}
				sides = append(sides, side{c.name, one})
			}
			against(b, 1, sides...)
		})
	}
}
