package sql_test

import (
	"context"
	stdsql "database/sql"
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

var (
	programs = flag.Uint64("programs", 24, "how many random programs TestProgram runs on each database")
	firstOne = flag.Uint64("program", 0, "the seed of the first of them")
)

// skew is how far the servers' clocks are ahead of this process.
const skew = 30 * 365 * 24 * time.Hour

// TestProgram runs random programs, always the same. Time passes for the memory.Store and
// for the database only where a program says so: the process is in a bubble, and the
// clock of the server stands still. So deadlines are compared to the microsecond.
func TestProgram(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		name  string
		late  time.Duration // MariaDB lets each command of a connection begin a microsecond after the one before
		open  func(url string) (*stdsql.DB, error)
		start func(tb testing.TB, config ...string) *sqltest.Server
	}{
		{"postgres", 0, postgres.Open, sqltest.StartPostgres},
		{"mariadb", 200 * time.Microsecond, mysql.Open, sqltest.StartMariaDB},
		{"sqlite", 0, sqlite.Open, nil},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			program.Register()
			d := &program.Comparison{Late: b.late, Ended: make(map[string]int)}
			url, setClock := "sqlite:"+filepath.Join(t.TempDir(), "sessions.db")+"?synchronous=normal", func() {}
			if b.start != nil {
				server := b.start(t)
				url, d.Skew, setClock = server.URL(), skew, func() { server.StopClock(time.Now().Add(skew)) }
			}
			d.Pass = func(d time.Duration) {
				time.Sleep(d)
				setClock()
			}
			run := func(p []byte) (report string) {
				synctest.Test(t, func(t *testing.T) {
					d.Pass(time.Hour) // logins look back
					st := &sql.Store{DB: opened(t, b.open, url), OpTimeout: time.Minute, IdleTimeout: program.Idle, AbsoluteTimeout: program.Absolute}
					d.New = func(context.Context) session.DeviceStore { return st }
					must(t, st.Migrate(t.Context()))
					for _, table := range []string{"session_records", "session_users"} {
						_, err := st.DB.ExecContext(t.Context(), "DELETE FROM "+table)
						must(t, err)
					}
					if report = d.Run(t.Context(), p); report != "" {
						return
					}
					d.Pass(401 * 24 * time.Hour) // no session lives so long
					_, err := st.Sweep(t.Context())
					must(t, err)
					if n, users := rows(t, st, "session_records"), rows(t, st, "session_users WHERE slot = 0"); n+users > 0 {
						report = fmt.Sprintf("%d sessions and %d users are never removed", n, users)
					}
				})
				return report
			}
			for seed := *firstOne; seed < *firstOne+*programs; seed++ {
				program.Play(t, fmt.Sprintf("seed %d", seed), program.Random(seed, 150), run)
			}
			if *firstOne == 0 && *programs >= 24 { // the ordinary ones
				program.Play(t, "a full session", program.Full(1, 100), run)
				d.CheckCoverage(t, "after a time Get ", "after a time Get ErrNotFound", "after a time Open ErrExpiredIdle", "after a time Open ErrExpiredAbsolute",
					"after a time Open ErrNotFound ErrUnproved", "Open ErrNotFound ErrUnproved")
			}
		})
	}
}
