package sql_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// A crowd is many sessions of five values each, every second one of a user of its own. The
// table of users has a row for each of these.
// They are copies of two that the store made, with other ids, so the store opens them.
type crowd struct {
	name    string // in a benchmark
	store   *sql.Store
	n       int
	secrets [2]string // what stands behind the ids of their tokens
	tokens  sync.Map  // of sessions that login has replaced
}

const scattered = 2654435761 // ids of neighbours lie far apart

// newCrowd puts n sessions into the tables of a fresh store, a multiple of 1000.
func newCrowd(tb testing.TB, base base, st *sql.Store, n int) *crowd {
	tb.Helper()
	must(tb, st.Migrate(tb.Context()))
	c := &crowd{store: st, n: n}
	values := map[string]any{"name": "Ada Lovelace", "theme": "dark", "cart": []byte("0123456789"), "ok": true, "visits": 42}
	for i, model := range []string{"model0", "model1"} {
		s, err := st.Generate(tb.Context(), model)
		if i == 0 {
			must(tb, err)
			must(tb, session.SetAll(tb.Context(), s, values))
		} else {
			s, err = st.Login(tb.Context(), session.Token(s), session.Login{User: "model", ID: "model2", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", Address: "192.0.2.0/24", Values: values})
			must(tb, err)
		}
		c.secrets[i] = strings.TrimPrefix(session.Token(s), s.ID())
	}
	words := strings.NewReplacer(
		"{series}", fmt.Sprintf("WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i < 999), "+
			"series AS (SELECT a.i * 1000 + b.i AS i FROM k AS a CROSS JOIN k AS b WHERE a.i < %d) ", n/1000),
		"{id}", fmt.Sprintf("CONCAT(1000000000 + CAST(i AS {integer}) * %d %% 4294967296, '-0000-4000-8000-', 1000000000 + i)", scattered),
		"{user}", "CAST(CONCAT('user', i) AS {bytes})",
	)
	types := map[string]*strings.Replacer{
		"postgres": strings.NewReplacer("{integer}", "bigint", "{bytes}", "bytea"),
		"mariadb":  strings.NewReplacer("{integer}", "SIGNED", "{bytes}", "BINARY"),
		"sqlite":   strings.NewReplacer("{integer}", "INTEGER", "{bytes}", "BLOB"),
	}[base.name]
	for _, text := range []string{
		"INSERT INTO session_users (name, slot, version, revoked, until) {series}SELECT {user}, 0, 0, 0, 3000000000000000 + i FROM series WHERE i % 2 = 1",
		// The last refreshes of the sessions lie a millisecond apart.
		"INSERT INTO session_records (id, incarnation, version, secret, created, seen, idle, ends, due, account, level, login_at, persistent, user_agent, address, data) " +
			"{series}SELECT {id}, incarnation, version, secret, created, seen - 1000 * i, idle, ends - 1000 * i, due - 1000 * i, " +
			"CASE WHEN account IS NULL THEN NULL ELSE {user} END, level, login_at, persistent, user_agent, address, data " +
			"FROM series JOIN session_records ON id = CASE WHEN i % 2 = 0 THEN 'model0' ELSE 'model2' END",
		"DELETE FROM session_records WHERE id LIKE 'model%'",
	} {
		_, err := st.DB.ExecContext(tb.Context(), types.Replace(words.Replace(text)))
		must(tb, err)
	}
	return c
}

// settle has the database do what it does by itself within minutes.
func (c *crowd) settle(tb testing.TB, base base) {
	tb.Helper()
	for _, text := range map[string][]string{
		"postgres": {"VACUUM ANALYZE", "CHECKPOINT"},
		"mariadb":  {"ANALYZE TABLE session_records, session_users"},
		"sqlite":   {"PRAGMA wal_checkpoint(TRUNCATE)"},
	}[base.name] {
		_, err := c.store.DB.ExecContext(tb.Context(), text)
		must(tb, err)
	}
}

// id is that of the i-th session.
func (c *crowd) id(i int) string {
	return fmt.Sprintf("%d-0000-4000-8000-%d", 1_000_000_000+i*scattered%(1<<32), 1_000_000_000+i)
}

// token is that of the i-th session.
func (c *crowd) token(i int) string {
	if token, ok := c.tokens.Load(i); ok {
		return token.(string)
	}
	return c.id(i) + c.secrets[i%2]
}

// user is whose the i-th session is, for odd i.
func (c *crowd) user(i int) string { return fmt.Sprint("user", i) }

// read loads a random session and reads a value.
func (c *crowd) read(ctx context.Context) error {
	s, err := c.open(ctx)
	if err == nil {
		_, err = s.Get(ctx, "name")
	}
	return err
}

func (c *crowd) open(ctx context.Context) (session.Session, error) {
	return c.store.Open(ctx, c.token(rand.IntN(c.n)))
}

// write loads a random session and stores a value.
func (c *crowd) write(ctx context.Context) error {
	s, err := c.open(ctx)
	if err == nil {
		err = s.Set(ctx, "visits", rand.Int64())
	}
	return err
}

// login logs a random user in, and ends the session that the user had.
func (c *crowd) login(ctx context.Context) error {
	i := rand.IntN(c.n/2)*2 + 1
	s, err := c.store.Login(ctx, "", session.Login{User: c.user(i), MaxSessions: 1, EndOldest: true})
	if err == nil {
		c.tokens.Store(i, session.Token(s))
	}
	return err
}

// TestCrowd: a crowd is what benchmarks take it for.
func TestCrowd(t *testing.T) {
	t.Parallel()
	for _, base := range bases() {
		t.Run(base.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, base, &sql.Store{DB: base.fresh(t), OpTimeout: time.Minute}, 1000)
			for i := range c.n {
				s, err := c.store.Open(t.Context(), c.token(i))
				must(t, err)
				if v, err := s.Get(t.Context(), "name"); v != "Ada Lovelace" || err != nil {
					t.Fatalf("session %d has %v, %v", i, v, err)
				}
			}
			for range 100 {
				must(t, c.login(t.Context()))
				must(t, c.write(t.Context()))
			}
			if n, users := rows(t, c.store, "session_records"), rows(t, c.store, "session_users WHERE slot = 0"); n != c.n || users != c.n/2 {
				t.Errorf("%d sessions of %d users, want %d of %d", n, users, c.n, c.n/2)
			}
		})
	}
}
