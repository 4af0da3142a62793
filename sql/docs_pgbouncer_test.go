package sql_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/postgres"
)

// TestTransactionMode uses a store through PgBouncer in transaction mode, with the
// setting that docs/sql.md names. Each statement may reach another connection.
func TestTransactionMode(t *testing.T) {
	t.Parallel()
	bouncer := sqltest.StartPgbouncer(t, sqltest.SharedPostgres(t), "transaction")
	st := &sql.Store{
		DB:        opened(t, postgres.Open, bouncer.Database(t)+"&default_query_exec_mode=exec"),
		OpTimeout: time.Minute,
	}
	must(t, st.Migrate(t.Context()))
	var visitors sync.WaitGroup
	for i := range 4 {
		user := "user" + strconv.Itoa(i)
		visitors.Go(func() {
			for range 10 {
				if err := transactionModeVisit(t, st, user); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	visitors.Wait()
	if _, err := st.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range 4 {
		if n, err := st.RemoveUserSessions(t.Context(), "user"+strconv.Itoa(i)); n != 3 || err != nil {
			t.Errorf("got %d sessions ended, %v, want 3", n, err)
		}
	}
}

func transactionModeVisit(t *testing.T, st *sql.Store, user string) error {
	t.Helper()
	s, err := st.Login(t.Context(), "", session.Login{User: user, MaxSessions: 3, EndOldest: true})
	if err != nil {
		return err
	}
	if err := s.Set(t.Context(), "key", user); err != nil {
		return err
	}
	if s, err = st.Rotate(t.Context(), session.Token(s), time.Second); err != nil {
		return err
	}
	if _, err := st.Open(t.Context(), session.Token(s)); err != nil {
		return err
	}
	return st.Refresh(t.Context(), s.ID())
}
