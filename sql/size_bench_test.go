package sql_test

import (
	stdsql "database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

const sizeSessions = 10_000

// size asks each kind of database how many bytes the tables and indexes of a store take.
var size = map[string][]string{
	"postgres": {"VACUUM session_records", "SELECT pg_total_relation_size('session_records') + pg_total_relation_size('session_users')"},
	"mariadb": {
		"ANALYZE TABLE session_records, session_users",
		"SELECT CAST(SUM(data_length + index_length) AS SIGNED) FROM information_schema.tables WHERE table_schema = DATABASE()",
	},
	"sqlite": {"PRAGMA wal_checkpoint(TRUNCATE)", "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"},
}

func sizeOf(b *testing.B, db *stdsql.DB, kind string) (n int64) {
	b.Helper()
	_, err := db.ExecContext(b.Context(), size[kind][0])
	must(b, err)
	must(b, db.QueryRowContext(b.Context(), size[kind][1]).Scan(&n))
	return n
}

// BenchmarkSize shows how many bytes of the database a session takes, without a user and
// with one, and after 20 refreshes of each.
func BenchmarkSize(b *testing.B) {
	values := map[string]any{"cart": "3 apples", "theme": "dark", "visits": 42, "locale": "en-GB", "step": true}
	const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	for _, base := range bases() {
		for _, user := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/user=%v", base.name, user), func(b *testing.B) {
				db := base.fresh(b)
				st := &sql.Store{DB: db, OpTimeout: time.Minute}
				must(b, st.Migrate(b.Context()))
				for b.Loop() {
					var ids []string
					for i := range sizeSessions {
						var s session.Session
						var err error
						if user {
							s, err = st.Login(b.Context(), "", session.Login{
								User: fmt.Sprintf("user%06d", i), UserAgent: userAgent, Address: "192.0.2.0/24", Values: values,
							})
						} else if s, err = st.Generate(b.Context(), uuid.NewString()); err == nil {
							err = session.SetAll(b.Context(), s, values)
						}
						must(b, err)
						ids = append(ids, s.ID())
					}
					b.ReportMetric(float64(sizeOf(b, db, base.name))/sizeSessions, "B/session")
					for range 20 * sizeSessions {
						must(b, st.Refresh(b.Context(), ids[rand.IntN(len(ids))]))
					}
					b.ReportMetric(float64(sizeOf(b, db, base.name))/sizeSessions, "B/refreshed")
					if base.name == "postgres" {
						hot(b, db)
					}
				}
			})
		}
	}
}

// hot reports which share of the updates touched no index.
func hot(b *testing.B, db *stdsql.DB) {
	b.Helper()
	var all, hot float64
	for all < 20*sizeSessions { // the server notes them a little later
		must(b, db.QueryRowContext(b.Context(),
			"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'session_records'").Scan(&all, &hot))
	}
	b.ReportMetric(100*hot/all, "%HOT")
}
