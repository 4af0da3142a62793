package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session/sql/sqlite"
)

// open opens a URL that is good, and closes it with the test.
func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sqlite.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, db.Close()) })
	return db
}

func closed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(s, err)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := t.TempDir()
	for url, path := range map[string]string{
		"sqlite:" + dir + "/a":                       dir + "/a",
		"sqlite://" + dir + "/b":                     dir + "/b",
		"SQLite:c.db":                                "c.db",
		"sqlite:./d.db":                              "d.db",
		"sqlite:" + dir + "/100%25%20%3F%26e":        dir + "/100% ?&e",
		"sqlite:" + dir + "/f?synchronous=normal":    dir + "/f",
		"sqlite:" + dir + "/g%3Fmode=memory":         dir + "/g?mode=memory",
		"sqlite:" + dir + "/ü;h?synchronous=FULL":    dir + "/ü;h",
		"sqlite:" + dir + "//i%3F_pragma%3Dfoo(bar)": dir + "/i?_pragma=foo(bar)",
	} {
		db := open(t, url)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Open has made a file", url)
		}
		exec(t, db, "CREATE TABLE t (id INTEGER)")
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Errorf("%s: %v", url, err)
			} else if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: got mode %v, want that only the owner reads it", name, info.Mode())
			}
		}
	}
}

func TestOpenMistakes(t *testing.T) {
	dir := t.TempDir()
	readOnly := filepath.Join(dir, "read-only")
	if err := os.WriteFile(readOnly, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	for url, word := range map[string]string{
		"":                              "form",
		"sqlite":                        "form",
		"sqlite:":                       "form",
		"sqlite3:secret":                "form",
		"sqlite://secret":               "form",
		"sqlite://host/secret":          "form",
		"sqlite:secret%zz":              "form",
		"sqlite:secret%00":              "form",
		"sqlite:secret#x":               "form",
		"sqlite:secret?synchronous=%zz": "form",
		"sqlite::memory:":               "memory",
		"sqlite::memory:?cache=shared":  "memory",
		"sqlite:secret?mode=memory":     "memory",
		"sqlite:secret?synchronous=off": "setting",
		"sqlite:secret?synchronous=":    "setting",
		"sqlite:secret?_pragma=x":       "setting",
		"sqlite:secret?synchronous=full&synchronous=normal": "setting",
		"sqlite:" + dir + "/secret/f":                       "directory",
		"sqlite:" + readOnly + "/secret":                    "not a directory",
		"sqlite:" + dir:                                     "not name a file",
		"sqlite:" + readOnly:                                "not writable",
	} {
		db, err := sqlite.Open(url)
		switch {
		case err == nil:
			t.Errorf("%q: got no error, and %v", url, db.Close())
		case !strings.Contains(err.Error(), word):
			t.Errorf("%q: got %q, which does not say %q", url, err, word)
		case strings.Contains(err.Error(), "secret"), strings.Contains(err.Error(), dir):
			t.Errorf("%q: the error %q repeats it", url, err)
		}
	}
}

// The directory may vanish after Open.
func TestConnectMistakes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secret")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := open(t, "sqlite:"+dir+"/f")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error that does not repeat the path", err)
	}
}

func TestSettings(t *testing.T) {
	for query, synchronous := range map[string]string{"": "2", "?synchronous=full": "2", "?synchronous=normal": "1"} {
		db := open(t, "sqlite:"+filepath.Join(t.TempDir(), "f")+query)
		var conns []*sql.Conn
		for range 3 { // each connection has them
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closed(t, conn.Close()) })
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			for pragma, want := range map[string]string{
				"journal_mode": "wal", "synchronous": synchronous, "temp_store": "2", "busy_timeout": "0",
			} {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%q: %s: got %q, %v, want %q", query, pragma, got, err, want)
				}
			}
		}
	}
}

// A transaction begins with the lock of writers, or two that read first and write then
// could not both end well.
func TestImmediate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	first, second := open(t, "sqlite:"+path), open(t, "sqlite:"+path)
	exec(t, first, "CREATE TABLE t (id INTEGER)")
	tx, err := first.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, tx.Rollback()) }()
	other, err := second.BeginTx(t.Context(), nil)
	var coded interface{ Code() int }
	if !errors.As(err, &coded) || coded.Code()&0xff != 5 {
		t.Fatalf("got %v, %v, want SQLITE_BUSY", other, err)
	}
	var n int
	if err := second.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Errorf("a read fails while somebody writes: %v", err)
	}
}

// A statement ends with the caller's context, and says so.
func TestContext(t *testing.T) {
	db := open(t, "sqlite:"+filepath.Join(t.TempDir(), "f"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	const endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
	if _, err := db.ExecContext(ctx, endless); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// Many databases of one file that nobody has made yet: all use the same.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	const n = 16
	var wg sync.WaitGroup
	for i := range n {
		db := open(t, "sqlite:"+path)
		wg.Go(func() {
			statement := fmt.Sprintf("CREATE TABLE t%d (id INTEGER)", i)
			for {
				_, err := db.ExecContext(t.Context(), statement)
				var coded interface{ Code() int }
				if err == nil {
					return
				}
				if !errors.As(err, &coded) || coded.Code()&0xff != 5 {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	var got int
	if err := open(t, "sqlite:"+path).QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_schema").Scan(&got); err != nil || got != n {
		t.Errorf("got %d, %v, want %d tables", got, err, n)
	}
}
