package sql_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// BenchmarkAfterward shows that a table that has seen a million sessions come and go is as
// fast as a new one: right after Sweep has removed them, and on PostgreSQL also when its
// autovacuum has been there.
func BenchmarkAfterward(b *testing.B) {
	for _, base := range roomy() {
		b.Run(base.name, func(b *testing.B) {
			few := *million / 100
			st := roomyStore(b, base)
			newCrowd(b, base, st, *million)
			passSessions(b, st, 24*time.Hour)
			_, err := st.DB.ExecContext(b.Context(), "UPDATE session_users SET until = 1 WHERE slot = 0")
			must(b, err)
			n, err := st.Sweep(b.Context())
			if n != *million || err != nil {
				b.Fatalf("Sweep removed %d: %v", n, err)
			}
			used, fresh := newCrowd(b, base, st, few), newCrowd(b, base, roomyStore(b, base), few)
			fresh.name = "new"
			b.Run("swept", func(b *testing.B) { compare(b, used, fresh) })
			if base.name != "postgres" {
				return
			}
			for vacuumed := false; !vacuumed; {
				must(b, st.DB.QueryRowContext(b.Context(), "SELECT max(n_dead_tup) < $1 FROM pg_stat_user_tables, pg_sleep(0.1)", few).Scan(&vacuumed))
			}
			b.Run("vacuumed", func(b *testing.B) { compare(b, used, fresh) })
		})
	}
}

// BenchmarkExpiry shows what expiry costs those who are there: how many calls four callers
// get answered in a second, and how long the slowest of a hundred reads takes, while no
// session expires; as a share of that, while as many expire as are made, and calls remove
// them; and while Sweep removes a hundred thousand beside them. Of ten calls, eight read,
// one makes a session, and one writes to it.
func BenchmarkExpiry(b *testing.B) {
	const idle, while = 6 * time.Hour, 2 * time.Second
	for _, base := range roomy() {
		b.Run(base.name, func(b *testing.B) {
			db := base.fresh(b)
			c := newCrowd(b, base, &sql.Store{DB: db, IdleTimeout: idle}, *million/5)
			c.settle(b, base)
			var nothing float64
			report := func(removed string, makes *sql.Store, busy func()) {
				start := time.Now()
				reads := c.load(b, makes, busy)
				rate := float64(len(reads)) / 0.8 / time.Since(start).Seconds()
				if nothing == 0 {
					nothing = rate
				}
				b.ReportMetric(100*rate/nothing, "%-"+removed)
				b.ReportMetric(reads[len(reads)*99/100].Seconds()*1000, "p99-ms-"+removed)
			}
			report("nothing", c.store, func() { time.Sleep(while) })
			report("by-calls", &sql.Store{DB: db, IdleTimeout: while / 4}, func() { time.Sleep(while) })
			_, err := db.ExecContext(b.Context(), "UPDATE session_records SET ends = 2, due = 1 + seen % 2 WHERE account IS NOT NULL")
			must(b, err)
			c.settle(b, base)
			report("by-sweep", c.store, func() {
				start := time.Now()
				n, err := c.store.Sweep(b.Context())
				must(b, err)
				b.ReportMetric(float64(n)/time.Since(start).Seconds(), "swept/s")
			})
			b.ReportMetric(nothing, "calls/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// load has callers call until busy returns, and returns how long each read took, the
// slowest last. makes makes the sessions that the callers make.
func (c *crowd) load(b *testing.B, makes *sql.Store, busy func()) (reads []time.Duration) {
	b.Helper()
	const callers = 4
	var (
		stop atomic.Bool
		took [callers][]time.Duration
		wg   sync.WaitGroup
	)
	for i := range callers {
		wg.Go(func() {
			for !stop.Load() {
				for range 8 {
					start := time.Now()
					if _, err := c.store.Open(b.Context(), c.token(2*rand.IntN(c.n/2))); err != nil { // nobody's
						b.Error(err)
					}
					took[i] = append(took[i], time.Since(start))
				}
				s, err := makes.Generate(b.Context(), uuid.NewString())
				if err == nil {
					err = s.Set(b.Context(), "visits", 1)
				}
				if err != nil && !errors.Is(err, session.ErrNotFound) { // it may have expired
					b.Error(err)
				}
			}
		})
	}
	busy()
	stop.Store(true)
	wg.Wait()
	reads = slices.Concat(took[:]...)
	slices.Sort(reads)
	return reads
}
