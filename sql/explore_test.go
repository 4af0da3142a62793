package sql_test

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sessiontest"
	"github.com/mist-contrib/session/sql"
)

var orders = flag.Int("orders", 300, "how many random orders TestInterleavings explores")

// TestInterleavings explores what requests do to each other. A statement is a step, and
// so is a transaction, which keeps others waiting. On SQLite so does every write.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	for _, base := range bases() {
		t.Run(base.name, func(t *testing.T) {
			t.Parallel()
			plain := base.fresh(t)
			st := base.watched(t, plain, func(ctx context.Context, text string, inTx bool) {
				if !inTx && (base.name != "sqlite" || strings.HasPrefix(text, "SELECT")) {
					sessiontest.Step(ctx)
				}
			})
			must(t, st.Migrate(t.Context()))
			direct := &sql.Store{DB: plain}
			sessiontest.Explore(t, sessiontest.Explorer{
				New: func(t *testing.T) session.Store {
					t.Helper()
					for _, table := range []string{"session_records", "session_users"} {
						_, err := plain.ExecContext(t.Context(), "DELETE FROM "+table)
						must(t, err)
					}
					return st
				},
				Idle:    30 * time.Minute,
				Advance: func(d time.Duration) { passSessions(t, direct, d) }, // logins go by the clock of the test
				Random:  *orders,
			})
		})
	}
}
