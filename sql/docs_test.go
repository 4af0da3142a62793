package sql_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// TestByHand runs the statements that docs/sql.md gives to operators, while alice logs
// in: when the store has asked for all it has to know, and before it stores the session.
func TestByHand(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/sql.md")
	must(t, err)
	blocks := make(map[string]string)
	for _, m := range regexp.MustCompile("(?s)```sql (\\w+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks[m[1]] = m[2]
	}
	onAll(t, func(t *testing.T, st *sql.Store) {
		name := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
		const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8" // of the page
		must(t, st.Migrate(t.Context()))
		_, err := st.Generate(t.Context(), id)
		must(t, err)
		began, err := st.Login(t.Context(), "", session.Login{User: "alice", UserAgent: "a browser", Address: "192.0.2.0/24"})
		must(t, err)
		bob, err := st.Login(t.Context(), "", session.Login{User: "bob"})
		must(t, err)
		login, err := session.Describe(began)
		must(t, err)

		statements := strings.Split(strings.TrimSpace(blocks[name]), ";\n")
		want := []int{1, 3, 0, 0, 0, 0} // rows
		if len(statements) != len(want) {
			t.Fatalf("got %d statements, want %d", len(statements), len(want))
		}
		byHand := func(i int, text string) {
			rows, err := st.DB.QueryContext(t.Context(), strings.TrimSuffix(text, ";"))
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			n := 0
			for rows.Next() {
				n++
				if i == 1 {
					must(t, rows.Scan(&n))
				}
			}
			must(t, rows.Err())
			must(t, rows.Close())
			if n != want[i] {
				t.Errorf("got %d rows, want %d, of\n%s", n, want[i], text)
			}
		}
		for _, base := range bases() {
			if base.name != name {
				continue
			}
			var once sync.Once
			watched := base.watched(t, st.DB, func(_ context.Context, text string, inTx bool) {
				if !inTx && !strings.HasPrefix(text, "SELECT") {
					once.Do(func() {
						for i, text := range statements {
							byHand(i, text)
						}
					})
				}
			})
			overtaken := session.Login{User: "alice", Began: login.AuthenticatedAt}
			if _, err := watched.Login(t.Context(), "", overtaken); !errors.Is(err, session.ErrRevoked) {
				t.Errorf("a login that began before: got %v, want %v", err, session.ErrRevoked)
			}
		}

		for _, gone := range []string{id, began.ID()} {
			if _, err := st.Get(t.Context(), gone); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("a session that was ended by hand: got %v, want %v", err, session.ErrNotFound)
			}
		}
		if _, err := st.Get(t.Context(), bob.ID()); err != nil {
			t.Errorf("a session of somebody else: got %v", err)
		}
		if _, err := st.Login(t.Context(), "", session.Login{User: "alice"}); err != nil {
			t.Errorf("a login after it: got %v", err)
		}
	})
}
