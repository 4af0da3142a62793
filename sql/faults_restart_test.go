package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
)

// TestRestart pauses, kills and restarts a server that requests are busy with.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]struct {
		start func(tb testing.TB, config ...string) *sqltest.Server
		open  func(url string) (*stdsql.DB, error)
	}{"postgres": {sqltest.StartPostgres, postgres.Open}, "mariadb": {sqltest.StartMariaDB, mysql.Open}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t)
			st := &sql.Store{DB: opened(t, kind.open, server.URL()), OpTimeout: time.Minute}
			endsInTime(t, server, st)
			restarted(t, server, st)
		})
	}
}

// endsInTime makes calls to a server that is silent: they end with their contexts.
func endsInTime(t *testing.T, server *sqltest.Server, st *sql.Store) {
	t.Helper()
	v := newVictim(t, st, st)
	server.Pause()
	for _, call := range faultCalls() {
		if call.ends {
			continue // the server may do it when it goes on
		}
		for want, end := range map[error]func() (context.Context, context.CancelFunc){
			context.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 20*time.Millisecond)
			},
			context.Canceled: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Millisecond, cancel)
				return ctx, cancel
			},
		} {
			ctx, cancel := end()
			err := call.do(ctx, st, v)
			cancel()
			outage(t, call.name, err, v)
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", call.name, err, want)
			}
		}
	}
	server.Resume()
	survives(t, "paused", st, v)
	eventually(t, "no connection in use", func() bool { return st.DB.Stats().InUse == 0 })
}

// restarted kills and restarts the server under visitors that each count in their session.
func restarted(t *testing.T, server *sqltest.Server, st *sql.Store) {
	t.Helper()
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{Name: "sid"}}
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := &mist.Context{Request: r, ResponseWriter: w}
		s, err := m.GetSession(ctx)
		if err == nil {
			err = s.Set(r.Context(), "n", r.Header.Get("N"))
		}
		switch {
		case errors.Is(err, session.ErrNotFound):
			w.WriteHeader(http.StatusUnauthorized)
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	srv := httptest.NewServer(site)
	defer srv.Close()
	var served, failed atomic.Int64
	var stop atomic.Bool
	var visitors sync.WaitGroup
	for range 12 {
		v := newVictim(t, st, st)
		visitors.Go(func() {
			acknowledged, last := "", ""
			for n := 0; !stop.Load(); n++ {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
				last = fmt.Sprint(n)
				req.Header.Set("N", last)
				req.AddCookie(&http.Cookie{Name: "sid", Value: v.token})
				res, err := srv.Client().Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
				if cookies := res.Header.Values("Set-Cookie"); len(cookies) > 0 || res.StatusCode == http.StatusUnauthorized {
					t.Errorf("got status %d and %d cookies", res.StatusCode, len(cookies))
					return
				}
				if res.StatusCode == http.StatusOK {
					acknowledged = last
					served.Add(1)
				} else {
					failed.Add(1)
				}
			}
			s, err := st.Open(t.Context(), v.token)
			if err != nil {
				t.Errorf("logged out: %v", err)
				return
			}
			if got, err := s.Get(t.Context(), "n"); err != nil || got != acknowledged && got != last {
				t.Errorf("got %v, %v, want %s that was acknowledged", got, err, acknowledged)
			}
		})
	}
	eventually(t, "served", func() bool { return served.Load() > 20 })
	server.Kill()
	eventually(t, "failed", func() bool { return failed.Load() > 20 })
	server.Restart(t)
	before := served.Load()
	eventually(t, "served again", func() bool { return served.Load() > before+20 })
	stop.Store(true)
	visitors.Wait()
}
