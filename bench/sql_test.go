package bench_test

import (
	"context"
	"database/sql"
	stdgob "encoding/gob"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/sqltest"
	store "github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/postgres"
	"github.com/mist-contrib/session/sql/sqlite"
)

func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }

const people = 1000

// A library does what two kinds of requests do with the i-th session.
type library struct {
	name  string
	read  func(ctx context.Context, i int) error // one value
	write func(ctx context.Context, i int) error // reads one value and stores another
}

// BenchmarkSQL bounds what a request costs that reads a value of five, or reads one and
// stores another, with this module and with scs and its stores, through one pool of a
// database each.
func BenchmarkSQL(b *testing.B) {
	b.Run("db=postgres", func(b *testing.B) {
		db, err := postgres.Open(sqltest.SharedPostgres(b).Database(b))
		measure(b, db, err, func() scs.Store {
			exec(b, db, `CREATE TABLE sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)`)
			return postgresstore.NewWithCleanupInterval(db, 0)
		})
	})
	b.Run("db=sqlite", func(b *testing.B) {
		db, err := sqlite.Open("sqlite:" + filepath.Join(b.TempDir(), "sessions.db"))
		measure(b, db, err, func() scs.Store {
			exec(b, db, `CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL)`)
			return sqlite3store.NewWithCleanupInterval(db, 0)
		})
	})
}

func measure(b *testing.B, db *sql.DB, err error, theirs func() scs.Store) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	libraries := []library{scsLibrary(b, theirs()), ours(b, &store.Store{DB: db})}
	for _, what := range []string{"read", "write"} {
		for _, callers := range []int{1, 16} {
			var scsTook float64
			for i, l := range libraries {
				call := l.read
				if what == "write" {
					call = l.write
				}
				b.Run(what+"/callers="+strconv.Itoa(callers)+"/"+l.name, func(b *testing.B) {
					defer func() {
						took := float64(b.Elapsed()) / float64(b.N)
						if i == 0 {
							scsTook = took
						} else {
							b.ReportMetric(scsTook/took, "times-scs")
						}
					}()
					var next atomic.Int64
					for callers == 1 && b.Loop() {
						if err := call(b.Context(), int(next.Add(1)%people)); err != nil {
							b.Fatal(err)
						}
					}
					if callers == 1 {
						return
					}
					b.SetParallelism(callers / runtime.GOMAXPROCS(0))
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := call(b.Context(), int(next.Add(1)%people)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
		}
	}
}

func stored(i int) map[string]any {
	return map[string]any{"name": "Ada Lovelace", "theme": "dark", "cart": []byte("0123456789abcdef"), "visits": i, "since": time.Now()}
}

func ours(b *testing.B, st *store.Store) library {
	b.Helper()
	var tokens []string
	for i := range people {
		s, err := st.Generate(b.Context(), uuid.NewString())
		if err == nil {
			err = session.SetAll(b.Context(), s, stored(i))
		}
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, session.Token(s))
	}
	open := func(ctx context.Context, i int) (session.Session, error) {
		s, err := st.Open(ctx, tokens[i])
		if err == nil {
			_, err = s.Get(ctx, "name")
		}
		return s, err
	}
	return library{
		"session",
		func(ctx context.Context, i int) error {
			_, err := open(ctx, i)
			return err
		},
		func(ctx context.Context, i int) error {
			s, err := open(ctx, i)
			if err != nil {
				return err
			}
			return s.Set(ctx, "visits", i)
		},
	}
}

func scsLibrary(b *testing.B, st scs.Store) library {
	b.Helper()
	stdgob.Register(time.Time{})
	m := scs.New()
	m.Store = st
	var writer sync.Mutex // or SQLite refuses the second writer, which scs does not expect
	var tokens []string
	for i := range people {
		ctx, err := m.Load(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		for key, value := range stored(i) {
			m.Put(ctx, key, value)
		}
		token, _, err := m.Commit(ctx)
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	return library{
		"scs",
		func(ctx context.Context, i int) error {
			ctx, err := m.Load(ctx, tokens[i])
			if err == nil {
				m.GetString(ctx, "name")
			}
			return err
		},
		func(ctx context.Context, i int) error {
			ctx, err := m.Load(ctx, tokens[i])
			if err != nil {
				return err
			}
			m.GetString(ctx, "name")
			m.Put(ctx, "visits", i)
			if _, server := st.(*postgresstore.PostgresStore); !server {
				writer.Lock()
				defer writer.Unlock()
			}
			_, _, err = m.Commit(ctx)
			return err
		},
	}
}

func exec(b *testing.B, db *sql.DB, text string) {
	b.Helper()
	if _, err := db.ExecContext(b.Context(), text); err != nil {
		b.Fatal(err)
	}
}
