package sql_test

import (
	stdsql "database/sql"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/servertest"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sessiontest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

const idle, absolute = 30 * time.Minute, 2 * time.Hour

// TestConformance runs the suite. Nothing waits: Advance sets the clock of the server.
// The slack is for the time that calls take; [TestProgram] compares deadlines to the
// microsecond.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := sqltest.StartPostgres(t)
		conforms(t, server, opened(t, postgres.Open, server.URL()))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		server := sqltest.StartMariaDB(t)
		conforms(t, server, opened(t, mysql.Open, server.URL()))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		sessiontest.TestStore(t, sessiontest.Harness{
			New: func(t *testing.T) session.Store {
				t.Helper()
				db := opened(t, sqlite.Open, "sqlite:"+filepath.Join(t.TempDir(), "sessions.db")+"?synchronous=normal")
				return &sql.Store{DB: db, IdleTimeout: idle, AbsoluteTimeout: absolute}
			},
			Idle: idle, Absolute: absolute, Capabilities: sessiontest.AllCapabilities, Goroutines: 50,
		})
	})
}

func conforms(t *testing.T, server *sqltest.Server, db *stdsql.DB) {
	t.Helper()
	var stores atomic.Int64
	var leaps servertest.Leaps
	sessiontest.TestStore(t, sessiontest.Harness{
		New: func(t *testing.T) session.Store {
			t.Helper()
			return leaps.Store(&sql.Store{
				DB: db, Prefix: fmt.Sprintf("s%d_", stores.Add(1)), OpTimeout: time.Minute, IdleTimeout: idle, AbsoluteTimeout: absolute,
			})
		},
		Idle: idle, Absolute: absolute, Slack: 10 * time.Second,
		Advance:      func(d time.Duration) { leaps.Advance(d, server.Server) },
		Capabilities: sessiontest.AllCapabilities, Goroutines: 60,
	})
}
