package bench_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"
	_ "modernc.org/sqlite"
)

// A file is a database of rows like those of package sql, 300 bytes each.
type file struct {
	driver   string // the name that it registers
	rows     int
	pragmas  []string
	pageSize int // 0: 4096

	withoutRowid bool
}

const twelve = "id, incarnation, version, secret, created, seen, idle, ends, due, account, level, data"

func (f file) open(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	pragmas := append([]string{"busy_timeout(10000)", fmt.Sprintf("page_size(%d)", max(f.pageSize, 4096)), "journal_mode(wal)", "temp_store(memory)"}, f.pragmas...)
	db, err := sql.Open(f.driver, "file:"+path+"?"+url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}.Encode())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db
}

func (f file) make(tb testing.TB) *sql.DB {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "bench.db")
	db := f.open(tb, path)
	without := ""
	if f.withoutRowid {
		without = " WITHOUT ROWID"
	}
	for _, s := range []string{
		"CREATE TABLE r (id TEXT NOT NULL PRIMARY KEY, incarnation INTEGER NOT NULL, version INTEGER NOT NULL, secret BLOB NOT NULL, " +
			"created INTEGER NOT NULL, seen INTEGER NOT NULL, idle INTEGER NOT NULL, ends INTEGER NOT NULL, due INTEGER NOT NULL, " +
			"account BLOB, level INTEGER NOT NULL, data BLOB)" + without,
		"CREATE INDEX r_account ON r (account) WHERE account IS NOT NULL",
		"CREATE INDEX r_due ON r (due)",
	} {
		if _, err := db.ExecContext(tb.Context(), s); err != nil {
			tb.Fatal(err)
		}
	}
	tx, err := db.BeginTx(tb.Context(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	insert, err := tx.PrepareContext(tb.Context(), "INSERT INTO r ("+twelve+") VALUES (?1, 7, 0, ?2, ?3, ?3, 1800000000, ?3+43200000000, ?3+1800000000, ?4, 0, ?5)")
	if err != nil {
		tb.Fatal(err)
	}
	for i := range f.rows {
		if _, err := insert.ExecContext(tb.Context(), id(i), make([]byte, 32), 1_764_000_000_000_000+i, fmt.Appendf(nil, "user-%d", i%1000), make([]byte, 150)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
	return db
}

// id is as scattered as a random one.
func id(i int) string {
	return fmt.Sprintf("%016x%016x", uint64(i)*0x9e3779b97f4a7c15, uint64(i)*0xbf58476d1ce4e5b9)
}

func (f file) read(b *testing.B, workers int) {
	b.Helper()
	db := f.make(b)
	load, err := db.PrepareContext(b.Context(), "SELECT "+twelve+" FROM r WHERE id = ?1")
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	work := func() error {
		var key string
		var incarnation, version, created, seen, idle, ends, due, level int64
		var secret, data sql.RawBytes
		var account []byte
		rows, err := load.QueryContext(b.Context(), id(int(n.Add(1)*7919)%f.rows))
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // it was read
		if !rows.Next() {
			return sql.ErrNoRows
		}
		return rows.Scan(&key, &incarnation, &version, &secret, &created, &seen, &idle, &ends, &due, &account, &level, &data)
	}
	run(b, workers, work)
}

func (f file) write(b *testing.B, workers int) {
	b.Helper()
	db := f.make(b)
	update, err := db.PrepareContext(b.Context(), "UPDATE r SET seen = ?2, version = version + 1, data = ?3 WHERE id = ?1 AND ends > ?2 AND seen + idle > ?2")
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	one := make(chan struct{}, 1)
	data := make([]byte, 150)
	work := func() error {
		one <- struct{}{}
		defer func() { <-one }()
		i := n.Add(1)
		_, err := update.ExecContext(b.Context(), id(int(i*7919)%f.rows), 1_764_000_000_000_000+i, data)
		return err
	}
	run(b, workers, work)
}

func run(b *testing.B, workers int, work func() error) {
	b.Helper()
	b.SetParallelism(max(1, workers/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	if workers == 1 {
		for b.Loop() {
			if err := work(); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := work(); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkSQLite compares two drivers that need no C compiler, on the statements of
// package sql: a read of a row by its key and a conditional update.
func BenchmarkSQLite(b *testing.B) {
	for _, driver := range []string{"sqlite", "sqlite3"} {
		for _, workers := range []int{1, 16} {
			f := file{driver: driver, rows: 100_000}
			b.Run(fmt.Sprintf("op=read/driver=%s/workers=%d", driver, workers), func(b *testing.B) { f.read(b, workers) })
			for _, synchronous := range []string{"full", "normal"} {
				f.pragmas = []string{"synchronous(" + synchronous + ")"}
				b.Run(fmt.Sprintf("op=write/driver=%s/workers=%d/synchronous=%s", driver, workers, synchronous), func(b *testing.B) { f.write(b, workers) })
			}
		}
	}
}

// BenchmarkSQLiteFile compares ways to lay out the file.
func BenchmarkSQLiteFile(b *testing.B) {
	for name, f := range map[string]file{
		"base":          {},
		"without-rowid": {withoutRowid: true},
		"page=8192":     {pageSize: 8192},
		"mmap=256M":     {pragmas: []string{"mmap_size(268435456)"}},
		"cache=16M":     {pragmas: []string{"cache_size(-16000)"}},
	} {
		f.driver, f.rows = "sqlite", 100_000
		b.Run("op=read/file="+name, func(b *testing.B) { f.read(b, 1) })
		f.pragmas = append(f.pragmas, "synchronous(full)")
		b.Run("op=write/file="+name, func(b *testing.B) { f.write(b, 1) })
	}
}
