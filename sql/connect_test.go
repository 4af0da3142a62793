package sql_test

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/mysql"
	"github.com/mist-contrib/session/sql/postgres"
)

// TestConnect: the error of a database that does not listen is no ErrNotFound, has the
// cause, and names neither user nor database.
func TestConnect(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	addr := listener.Addr().String()
	must(t, listener.Close())
	for scheme, open := range map[string]func(string) (*stdsql.DB, error){"postgres": postgres.Open, "mysql": mysql.Open} {
		st := &sql.Store{DB: opened(t, open, scheme+"://someuser:somepassword@"+addr+"/somedatabase")}
		_, err := st.Get(t.Context(), "id")
		var cause *net.OpError
		if err == nil || errors.Is(err, session.ErrNotFound) || !errors.As(err, &cause) {
			t.Errorf("%s: got %v, want the error of the network", scheme, err)
			continue
		}
		for _, secret := range []string{"someuser", "somepassword", "somedatabase"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error names %s", scheme, secret)
			}
		}
	}
}

// TestSpaces: what a setting in the URL of PostgreSQL says arrives, as libpq reads it.
func TestSpaces(t *testing.T) {
	t.Parallel()
	db := opened(t, postgres.Open, addSetting(sqltest.SharedPostgres(t).Database(t), "application_name=a%20b%2Bc+d"))
	var got string
	if err := db.QueryRowContext(t.Context(), "SHOW application_name").Scan(&got); err != nil || got != "a b+c+d" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestAutocommit: a server whose connections begin without autocommit keeps what was
// acknowledged.
func TestAutocommit(t *testing.T) {
	t.Parallel()
	url := sqltest.StartMariaDB(t, "--autocommit=0").URL()
	st, other := &sql.Store{DB: opened(t, mysql.Open, url), OpTimeout: time.Minute}, &sql.Store{DB: opened(t, mysql.Open, url), OpTimeout: time.Minute}
	s := begun(t, st)
	_, err := other.Get(t.Context(), s.ID())
	must(t, err)
	must(t, st.Remove(t.Context(), s.ID()))
	if _, err := other.Get(t.Context(), s.ID()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after Remove: got %v, want ErrNotFound", err)
	}
}

// TestSnapshotIsolation: a pool of the application's own, with the strictest isolation of
// MariaDB, refuses who was second, and the store repeats that.
func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(sqltest.SharedMariaDB(t).Database(t))
	must(t, err)
	db := opened(t, func(dsn string) (*stdsql.DB, error) { return stdsql.Open("mysql", dsn) },
		u.User.String()+"@tcp("+u.Host+")"+u.Path+"?tx_isolation='SERIALIZABLE'&innodb_snapshot_isolation=1")
	st := &sql.Store{DB: db, OpTimeout: time.Minute}
	s := begun(t, st)
	must(t, at(32, func(i int) error { return s.Set(t.Context(), fmt.Sprint("key", i), i) }))
	must(t, at(32, func(i int) error {
		own, err := st.Get(t.Context(), s.ID())
		if err != nil {
			return err
		}
		return own.Set(t.Context(), fmt.Sprint("key", i), -i)
	}))
	s, err = st.Get(t.Context(), s.ID())
	must(t, err)
	for i := range 32 {
		if v, err := s.Get(t.Context(), fmt.Sprint("key", i)); v != -i || err != nil {
			t.Errorf("key %d: %v, %v", i, v, err)
		}
	}
}
