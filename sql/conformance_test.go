package sql_test

import (
	stdsql "database/sql"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sessiontest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

// TestConformance runs the suite. The clocks of the servers are moved, so that no rule
// waits long; what is under a second passes for this process, too, because a login says
// when its check began by the clock here. A rule's calls take real time, hence the slack.
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
				return &sql.Store{DB: db, IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 2 * time.Hour}
			},
			Idle: 30 * time.Minute, Absolute: 2 * time.Hour, Capabilities: sessiontest.AllCapabilities, Goroutines: 50,
		})
	})
}

func conforms(t *testing.T, server *sqltest.Server, db *stdsql.DB) {
	t.Helper()
	const idle = 4900 * time.Millisecond
	var stores atomic.Int64
	var offset time.Duration
	sessiontest.TestStore(t, sessiontest.Harness{
		New: func(t *testing.T) session.Store {
			t.Helper()
			return &sql.Store{
				DB: db, Prefix: fmt.Sprintf("s%d_", stores.Add(1)), OpTimeout: time.Minute,
				IdleTimeout: idle, AbsoluteTimeout: 4 * idle,
			}
		},
		Idle: idle, Absolute: 4 * idle, Slack: idle / 10,
		Advance: func(d time.Duration) {
			if d < time.Second {
				time.Sleep(d)
				return
			}
			offset += d
			server.SetClock(offset)
		},
		Capabilities: sessiontest.AllCapabilities, Goroutines: 60,
	})
}
