package sql_test

import (
	"context"
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
	var leaps []leap
	var offset time.Duration
	sessiontest.TestStore(t, sessiontest.Harness{
		New: func(t *testing.T) session.Store {
			t.Helper()
			return &leaping{&sql.Store{
				DB: db, Prefix: fmt.Sprintf("s%d_", stores.Add(1)), OpTimeout: time.Minute, IdleTimeout: idle, AbsoluteTimeout: absolute,
			}, &leaps}
		},
		Idle: idle, Absolute: absolute, Slack: 10 * time.Second,
		Advance: func(d time.Duration) {
			offset += d
			server.SetClock(offset)
			leaps = append(leaps, leap{time.Now(), d})
		},
		Capabilities: sessiontest.AllCapabilities, Goroutines: 60,
	})
}

// A leap is a change of the server's clock, which the clock of this process does not make.
type leap struct {
	at time.Time
	by time.Duration
}

// A leaping store tells the time of a login as if this process had made the leaps too.
type leaping struct {
	*sql.Store

	leaps *[]leap
}

func (s *leaping) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	for _, leap := range *s.leaps {
		if !l.Began.IsZero() && l.Began.Before(leap.at) {
			l.Began = l.Began.Add(-leap.by)
		}
	}
	return s.Store.Login(ctx, token, l)
}
