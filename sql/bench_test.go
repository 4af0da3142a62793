package sql_test

import (
	stdsql "database/sql"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sql"
)

// BenchmarkRead bounds what loading a session and reading one value costs, beside one
// bare prepared SELECT of the same row through the same pool.
func BenchmarkRead(b *testing.B) {
	onEach(b, func(b *testing.B, s *subject) {
		b.Helper()
		s.beside(b, func(i int) error {
			opened, err := s.store.Open(b.Context(), s.tokens[i])
			if err != nil {
				return err
			}
			_, err = opened.Get(b.Context(), "name")
			return err
		}, func(i int) error {
			var b [7][]byte
			var n [9]int64
			return s.read.QueryRow(s.ids[i]).Scan(&b[0], &n[0], &n[1], &b[1], &b[2], &n[2], &n[3], &n[4], &n[5], &b[3], &n[6], &n[7], &n[8], &b[4], &b[5], &b[6])
		})
	})
}

// BenchmarkWrite bounds what storing a value costs, beside one bare prepared UPDATE of
// the same row.
func BenchmarkWrite(b *testing.B) {
	onEach(b, func(b *testing.B, s *subject) {
		b.Helper()
		var writes atomic.Int64 // what stays as it was is not written
		s.beside(b, func(i int) error {
			return s.sessions[i].Set(b.Context(), "name", i)
		}, func(i int) error {
			s.writer.Lock()
			defer s.writer.Unlock()
			_, err := s.write.Exec(fmt.Appendf(nil, "%0120d", writes.Add(1)), s.bare[i])
			return err
		})
	})
}

// A subject is a store with some sessions, and statements on the same table.
type subject struct {
	store       *sql.Store
	read, write *stdsql.Stmt
	tokens, ids []string
	sessions    []session.Session
	bare        []string    // ids of as many sessions, which nobody opens
	writer      sync.Locker // a bare write has it, because SQLite refuses the second one
}

const subjects = 1000

func onEach(b *testing.B, bench func(b *testing.B, s *subject)) {
	b.Helper()
	for _, base := range bases() {
		b.Run("db="+base.name, func(b *testing.B) {
			db := base.fresh(b)
			s := &subject{store: &sql.Store{DB: db}, writer: &sync.Mutex{}}
			if base.name != "sqlite" {
				s.writer = new(sync.RWMutex).RLocker()
			}
			for i := range 2 * subjects {
				made, err := s.store.Generate(b.Context(), uuid.NewString())
				must(b, err)
				must(b, session.SetAll(b.Context(), made, map[string]any{"name": i, "theme": "dark", "cart": []byte("0123456789"), "ok": true, "n": 3.5}))
				if i < subjects {
					s.tokens, s.ids, s.sessions = append(s.tokens, session.Token(made)), append(s.ids, made.ID()), append(s.sessions, made)
				} else {
					s.bare = append(s.bare, made.ID())
				}
			}
			var err error
			s.read, err = db.PrepareContext(b.Context(), "SELECT id, incarnation, version, secret, old_secrets, created, seen, idle, ends, account, level, "+
				"login_at, persistent, user_agent, address, data FROM session_records WHERE id = "+base.parameter(1))
			must(b, err)
			s.write, err = db.PrepareContext(b.Context(), "UPDATE session_records SET data = "+base.parameter(1)+" WHERE id = "+base.parameter(2))
			must(b, err)
			bench(b, s)
		})
	}
}

// beside measures both, with one caller and with sixteen, and reports what share of the
// bare speed the store has.
func (s *subject) beside(b *testing.B, store, bare func(i int) error) {
	b.Helper()
	for _, callers := range []int{1, 16} {
		var per [2]float64
		for i, call := range []func(i int) error{bare, store} {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, []string{"bare", "store"}[i]), func(b *testing.B) {
				b.ReportAllocs()
				var next atomic.Int64
				one := func() {
					if err := call(int(next.Add(1) % subjects)); err != nil {
						b.Error(err)
					}
				}
				if callers == 1 {
					for b.Loop() {
						one()
					}
				} else {
					b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							one()
						}
					})
				}
				per[i] = float64(b.Elapsed()) / float64(b.N)
				if i == 1 {
					b.ReportMetric(100*per[0]/per[1], "%of-bare")
				}
			})
		}
	}
}
