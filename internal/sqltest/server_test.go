package sqltest_test

import (
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mist-contrib/session/internal/sqltest"
)

func TestURL(t *testing.T) {
	t.Parallel()
	p, m := sqltest.SharedPostgres(t), sqltest.SharedMariaDB(t)
	if got, want := p.URL(), "postgres://postgres@"+p.Addr+"/postgres?sslmode=disable"; got != want {
		t.Errorf("PostgreSQL: %s, want %s", got, want)
	}
	if got, want := m.URL(), "mysql://tester:secret@"+m.Addr+"/tests"; got != want {
		t.Errorf("MariaDB: %s, want %s", got, want)
	}
	if !strings.HasPrefix(p.Addr, "127.0.0.1:") || !strings.HasPrefix(m.Addr, "127.0.0.1:") {
		t.Errorf("they listen on %s and %s", p.Addr, m.Addr)
	}
	if p != sqltest.SharedPostgres(t) || m != sqltest.SharedMariaDB(t) {
		t.Error("a shared server is another one the next time")
	}
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.start(t)
			s.SQL(t, "CREATE TABLE t (n int); INSERT INTO t VALUES (0);")
			for n, end := range []func(){s.Kill, s.Stop, func() {}, paused(s, s.Kill), paused(s, s.Stop)} {
				s.SQL(t, "UPDATE t SET n = n + 1;") // its log must be with the kernel when the server dies
				addr, pid := s.Addr, s.PID()
				end()
				s.Restart(t)
				if s.Addr != addr || s.PID() == pid || s.PID() == 0 {
					t.Errorf("restarted: %s as %d, was %s as %d", s.Addr, s.PID(), addr, pid)
				}
				want(t, s, "SELECT n FROM t;", fmt.Sprint(n+1))
			}
		})
	}
}

func paused(s *sqltest.Server, end func()) func() {
	return func() {
		s.Pause()
		end()
		end() // nothing
		if s.PID() != 0 {
			panic("it still runs")
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	p := sqltest.StartPostgres(t, "max_connections=250", "fsync=on")
	want(t, p, "SHOW max_connections; SHOW fsync;", "250", "on")
	m := sqltest.StartMariaDB(t, "--max-connections=250", "--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync")
	want(t, m, "SELECT @@max_connections, @@innodb_flush_log_at_trx_commit, @@innodb_flush_method;", "250\t1\tfsync")
	for _, k := range kinds {
		s := k.shared(t)
		if n := len(s.SQL(t, "SELECT 1;")); n != 1 {
			t.Errorf("%s: %d bytes", k.name, n)
		}
	}
	want(t, sqltest.SharedPostgres(t), "SHOW max_connections; SHOW fsync; SHOW synchronous_commit;", "300", "off", "on")
	want(t, sqltest.SharedMariaDB(t), "SELECT @@max_connections >= 200, @@character_set_server;", "1\tutf8mb4")
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.shared(t)
			var (
				wg  sync.WaitGroup
				all [4]string
			)
			t.Run("in it", func(t *testing.T) {
				for i := range all {
					wg.Go(func() { all[i] = s.Database(t) })
				}
				wg.Wait()
				for i, u := range all {
					name := database(t, u)
					if i > 0 && u == all[0] {
						t.Error("two tests have the same database")
					}
					if !exists(t, s, name) {
						t.Errorf("there is no database %s", name)
					}
				}
			})
			for _, u := range all {
				if name := database(t, u); exists(t, s, name) {
					t.Errorf("%s has outlived the test", name)
				}
			}
		})
	}
}

func database(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func exists(t *testing.T, s *sqltest.Server, database string) bool {
	t.Helper()
	if strings.HasPrefix(s.URL(), "mysql:") {
		return s.SQL(t, "SHOW DATABASES LIKE '"+database+"';") != ""
	}
	return s.SQL(t, "SELECT 1 FROM pg_database WHERE datname = '"+database+"';") != ""
}

func TestPgbouncer(t *testing.T) { //nolint:tparallel // the subtest ends before what follows
	t.Parallel()
	p := sqltest.SharedPostgres(t)
	b := sqltest.StartPgbouncer(t, p, "transaction")
	if strings.Contains(b.URL(), p.Addr) || !strings.Contains(b.URL(), b.Addr) {
		t.Errorf("its URL is %s", b.URL())
	}
	var own string
	t.Run("in it", func(t *testing.T) {
		u := sqltest.StartPgbouncer(t, p, "session").Database(t)
		if own = database(t, u); strings.Contains(u, p.Addr) || !exists(t, p, own) {
			t.Errorf("its database is %s", u)
		}
	})
	if exists(t, p, own) {
		t.Error("its database has outlived the test")
	}
	want(t, b, "SELECT 1;", "1")
	// A transaction holds one backend, so another client gets a second one.
	holder := open(t, b)
	first := holder.number(t, "BEGIN; SELECT pg_backend_pid();")
	if second := open(t, b).number(t, "SELECT pg_backend_pid();"); second == first {
		t.Errorf("two transactions at once have the backend %v", first)
	}
	holder.number(t, "COMMIT; SELECT 1;")
	// Settings of a connection are lost or another's: this is what the mode is for.
	pids := make(map[string]bool)
	for line := range strings.Lines(b.SQL(t, strings.Repeat("SELECT pg_backend_pid();\n", 20))) {
		pids[strings.TrimSpace(line)] = true
	}
	if len(pids) < 2 {
		t.Errorf("all transactions of a client had the backends %v: that is no transaction mode", pids)
	}
	b.Kill()
	b.Restart(t)
	b.Pause()
	b.Resume()
	want(t, b, "SELECT 1;", "1")
}

func TestBadConfigShowsTheLog(t *testing.T) {
	t.Parallel()
	f := &failure{TB: t}
	for _, start := range []func(){
		func() { sqltest.StartPostgres(f, "no_such_thing=1") },
		func() { sqltest.StartMariaDB(f, "--no-such-thing=1") },
		func() { sqltest.StartPgbouncer(f, sqltest.SharedPostgres(t), "no_such_thing") },
	} {
		f.text = ""
		f.run(start)
		if !strings.Contains(f.text, "no_such_thing") && !strings.Contains(f.text, "no-such-thing") {
			t.Errorf("the reason is not shown: %q", f.text)
		}
	}
}

// A failure is a test that may fail.
type failure struct {
	testing.TB
	text string
}

// run calls a function, which may end early.
func (f *failure) run(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	<-done
}

func (f *failure) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func TestNothingIsLeft(t *testing.T) { //nolint:tparallel // the subtest ends before what follows
	t.Parallel()
	var all []*sqltest.Server
	t.Run("in it", func(t *testing.T) {
		for _, k := range kinds {
			all = append(all, k.start(t))
		}
		all = append(all, sqltest.StartPgbouncer(t, sqltest.SharedPostgres(t), "session"))
	})
	for _, s := range all {
		if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
			t.Errorf("a folder is left: %v", err)
		}
		if s.PID() != 0 {
			t.Error("a server still runs")
		}
	}
}
