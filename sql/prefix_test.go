package sql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// TestPrefixes: stores that share a database, and find no tables, make their own at the
// same time, and know nothing of each other's sessions and users.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st *sql.Store) {
		stores := make([]*sql.Store, 12)
		for i := range stores {
			stores[i] = &sql.Store{DB: st.DB, OpTimeout: st.OpTimeout, Prefix: fmt.Sprint("p", strings.Repeat("_", 2*i), i)}
		}
		must(t, at(len(stores), func(i int) error {
			_, err := stores[i].Login(t.Context(), "", session.Login{User: victimUser, ID: "same"})
			return err
		}))
		for i, store := range stores {
			if n, err := store.RemoveUserSessions(t.Context(), victimUser); n != 1 || err != nil {
				t.Errorf("store %d: removed %d, want 1: %v", i, n, err)
			}
			if _, err := store.Get(t.Context(), "same"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("store %d: got %v, want ErrNotFound", i, err)
			}
		}
	})
}

// TestUserNames: users are told apart by each byte of their names.
func TestUserNames(t *testing.T) {
	t.Parallel()
	names := []string{
		"a", "A", "a ", "a  ", " a", "a\x00", "\x00", "\u00e1", "a\u0301", "\uff41", "\u00df", "ss", "\u0131", "i", "\xff", "a\xff",
		"0", "0.0", "1e1", "10", "a'", "a\\", "a%", "a_", strings.Repeat("x", 256), strings.Repeat("x", 255), strings.Repeat("x", 255) + " ",
	}
	onAll(t, func(t *testing.T, st *sql.Store) {
		for _, name := range names {
			_, err := st.Login(t.Context(), "", session.Login{User: name, MaxSessions: 1})
			must(t, err)
		}
		for i, name := range names {
			if infos, err := st.UserSessions(t.Context(), name); err != nil || len(infos) != 1 || infos[0].User != name {
				t.Errorf("%.9q has %d sessions, want their own: %v", name, len(infos), err)
			}
			if n, err := st.RemoveUserSessions(t.Context(), name); n != 1 || err != nil {
				t.Errorf("%.9q: removed %d, want 1: %v", name, n, err)
			}
			if n := rows(t, st, "session_records"); n != len(names)-i-1 {
				t.Errorf("%.9q: %d sessions are left, want %d", name, n, len(names)-i-1)
			}
		}
	})
}
