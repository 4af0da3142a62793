package sql_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

// TestHostileRows stores garbage in each column. It authenticates nobody, is no absence,
// and stays.
func TestHostileRows(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		must(t, st.Migrate(t.Context()))
		garbage := []string{
			"old_secrets = 'x'", "old_secrets = '" + strings.Repeat("y", 5000) + "'", "created = -1", "created = 9223372036854775807",
			"seen = -1", "idle = -1", "idle = 4611686018427387904", "ends = -9223372036854775808", "ends = 9223372036854775807",
			"level = -1", "level = 256", "login_at = -1", "data = 'x'", "data = '" + strings.Repeat("z", 5000) + "'",
		}
		if !strings.Contains(t.Name(), "mariadb") {
			garbage = append(garbage, "secret = 'short'", "secret = '"+strings.Repeat("l", 33)+"'")
		}
		if strings.Contains(t.Name(), "sqlite") { // its columns take any type
			for _, column := range []string{"incarnation", "version", "created", "seen", "idle", "ends", "level", "login_at"} {
				garbage = append(garbage, column+" = 'word'", column+" = x'00ff'", column+" = 1.5")
			}
		}
		for _, g := range garbage {
			v := newVictim(t, st, st)
			_, err := st.DB.ExecContext(t.Context(), fmt.Sprintf("UPDATE session_records SET %s WHERE id = '%s'", g, v.id))
			must(t, err)
			for _, call := range faultCalls() {
				switch call.name {
				case "Open", "Get", "Rotate", "Reauthenticate":
					outage(t, g[:min(len(g), 30)]+": "+call.name, call.do(t.Context(), st, v), v)
				case "Login", "UserSessions", "Refresh":
					if err := call.do(t.Context(), st, v); err != nil {
						discreet(t, g[:min(len(g), 30)]+": "+call.name, err, v)
					}
				}
			}
			if n := count(t, st.DB, "SELECT count(*) FROM session_records WHERE id = '"+v.id+"'"); n != 1 {
				t.Errorf("%.30s: the row is gone", g)
			}
			must(t, st.Remove(t.Context(), v.id))
		}
	})
}

func addSetting(url, setting string) string {
	if strings.Contains(url, "?") {
		return url + "&" + setting
	}
	return url + "?" + setting
}

// TestFull gives SQLite no more pages.
func TestFull(t *testing.T) {
	t.Parallel()
	st := &sql.Store{DB: opened(t, sqlite.Open, "sqlite:"+filepath.Join(t.TempDir(), "f"))}
	st.DB.SetMaxOpenConns(1)
	v := newVictim(t, st, st)
	_, err := st.DB.ExecContext(t.Context(), "PRAGMA max_page_count = 1") // at least what there is
	must(t, err)
	err = v.session.Set(t.Context(), "k", strings.Repeat(victimValue, 5000))
	if !errors.Is(err, session.ErrFull) || errors.Is(err, session.ErrNotFound) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	discreet(t, "Set", err, v)
	survives(t, "full", st, v)
	for range 1000 {
		if _, err = st.Generate(t.Context(), fmt.Sprint("id", time.Now().UnixNano())); err != nil {
			break
		}
	}
	if !errors.Is(err, session.ErrFull) {
		t.Errorf("Generate: got %v, want ErrFull", err)
	}
	must(t, st.Refresh(t.Context(), v.id))
	ended, err := st.Get(t.Context(), v.id)
	must(t, err)
	must(t, st.Remove(t.Context(), v.id))
	if _, err := st.RemoveUserSessions(t.Context(), victimUser); err != nil {
		t.Errorf("RemoveUserSessions: %v", err)
	}
	_, err = st.DB.ExecContext(t.Context(), "PRAGMA max_page_count = 10000")
	must(t, err)
	if err := ended.Set(t.Context(), "k", victimValue); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v with room again, want that the dead stay dead", err)
	}
	must(t, newVictim(t, st, st).session.Set(t.Context(), "k", strings.Repeat(victimValue, 5000)))
	nothingHeld(t, "sqlite", st.DB, st.DB)
}

// TestNoTables has no tables at first: the store makes them where it may, and else says
// what is missing.
func TestNoTables(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		for i, call := range faultCalls() {
			fresh := &sql.Store{DB: st.DB, Prefix: fmt.Sprintf("fresh%d_", i), OpTimeout: time.Minute}
			v := &victim{id: "nobody", token: "nobody.x"}
			if call.name == "Set" {
				continue
			}
			if err := call.do(t.Context(), fresh, v); err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v, want that the tables are made", call.name, err)
			}
		}
		nothingHeld(t, "", st.DB, st.DB)
	})
	db := opened(t, postgres.Open, addSetting(sqltest.SharedPostgres(t).Database(t), "default_transaction_read_only=on"))
	_, err := (&sql.Store{DB: db}).Get(t.Context(), "nobody")
	if err == nil || errors.Is(err, session.ErrNotFound) || !strings.Contains(err.Error(), "Migrate") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

// TestOneConnection makes each call with a pool of one, on a store that has prepared
// nothing yet. A call that wants a second connection would wait for itself.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	for _, s := range shares(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.db.SetMaxOpenConns(1)
			st := &sql.Store{DB: s.other, OpTimeout: time.Minute}
			must(t, st.Migrate(t.Context()))
			for _, call := range append(faultCalls(),
				faultCall{"Sweep", false, func(ctx context.Context, fresh *sql.Store, v *victim) error {
					expire(t, st, v)
					_, err := fresh.Sweep(ctx)
					return err
				}},
				faultCall{"Login in the place of the dead", false, func(ctx context.Context, fresh *sql.Store, v *victim) error {
					expire(t, st, v)
					_, err := fresh.Login(ctx, "", session.Login{User: victimUser, ID: v.id})
					return err
				}},
				faultCall{"Set of what has changed", false, func(ctx context.Context, _ *sql.Store, v *victim) error {
					_, err := st.Rotate(ctx, v.token, time.Minute)
					must(t, err)
					return v.session.Set(ctx, "k2", victimValue)
				}},
			) {
				v, fresh := newVictim(t, st, &sql.Store{DB: s.db, OpTimeout: time.Minute}), &sql.Store{DB: s.db, OpTimeout: time.Minute}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				err := call.do(ctx, fresh, v)
				cancel()
				if err != nil {
					t.Fatalf("%s: %v", call.name, err)
				}
			}
			nothingHeld(t, s.name, s.db, s.other)
		})
	}
}

// expire lets a session of a victim be over.
func expire(t *testing.T, st *sql.Store, v *victim) {
	t.Helper()
	_, err := st.DB.ExecContext(t.Context(), "UPDATE session_records SET ends = seen, due = seen WHERE id = '"+v.id+"'")
	must(t, err)
}
