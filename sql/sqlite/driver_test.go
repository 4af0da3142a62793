package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mist-contrib/session/config"
	"github.com/mist-contrib/session/sql"
)

// The store of a configuration has the options of the configuration.
func TestDriver(t *testing.T) {
	c := config.Config{
		Store: config.NewSecret("sqlite:" + filepath.Join(t.TempDir(), "sessions.db")), Prefix: "shop_",
		IdleTimeout: config.Duration{Duration: time.Minute}, AbsoluteTimeout: config.Duration{Duration: time.Hour},
		OpTimeout: config.Duration{Duration: 3 * time.Second},
	}
	m, closer, err := c.Manager()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closer.Close() })
	st, ok := m.Store.(*sql.Store)
	if !ok {
		t.Fatalf("got a %T, want a Store of package sql", m.Store)
	}
	if st.Prefix != "shop_" || st.IdleTimeout != time.Minute || st.AbsoluteTimeout != time.Hour || st.OpTimeout != 3*time.Second {
		t.Errorf("the store has other options: %q, %v, %v, %v", st.Prefix, st.IdleTimeout, st.AbsoluteTimeout, st.OpTimeout)
	}
}
