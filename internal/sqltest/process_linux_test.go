package sqltest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/servertest"
	"github.com/mist-contrib/session/internal/sqltest"
)

// segments counts the shared memory of System V that dead processes have left.
func segments(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		// key shmid perms size cpid lpid nattch …
		if f := strings.Fields(line); len(f) > 6 && f[6] == "0" {
			left[f[1]] = true
		}
	}
	return left
}

// Also those that work, wait or are stopped, and what PostgreSQL has forked.
func TestServersDieWithTheTestBinary(t *testing.T) {
	if servertest.IsChild() {
		p := sqltest.StartPostgres(t)
		all := []*sqltest.Server{p, sqltest.StartMariaDB(t), sqltest.StartPgbouncer(t, p, "transaction")}
		for _, k := range kinds[:2] {
			stopped := k.start(t)
			open(t, stopped).number(t, "SELECT 1;")
			stopped.Pause()
			all = append(all, stopped)
		}
		idle, busy := open(t, p), open(t, p)
		idle.number(t, "BEGIN; SELECT 1;")
		busy.number(t, "SELECT 1; SELECT count(*) FROM generate_series(1, 1e12);\n\\echo\n")
		var pids []string
		for _, s := range all {
			pids = append(pids, ints(servertest.Family(s.PID()))...)
		}
		servertest.Tell("%s %s", strings.Join(pids, ","), p.Dir)
		select {}
	}
	t.Parallel()
	before := segments(t)
	cmd := servertest.Child(t)
	var list, dir string
	servertest.Expect(t, servertest.Output(t, cmd), "%s %s", &list, &dir)
	pids := numbers(t, list)
	servertest.KillAtEnd(t, pids...)
	if len(pids) < 16 {
		t.Errorf("the servers are the processes %v: PostgreSQL has forked none", pids)
	}
	for _, pid := range pids {
		if servertest.Gone(pid) {
			t.Fatal("a server does not run")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range pids {
		servertest.Until(t, "the servers have gone", func() bool { return servertest.Gone(pid) })
	}
	servertest.Until(t, "the shared memory has gone", func() bool {
		for id := range segments(t) {
			if !before[id] {
				return false
			}
		}
		return true
	})
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the test expects a folder that is left: %v", err)
	}
	servertest.Sweep(filepath.Dir(dir), 0)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next test binary would not remove the folder: %v", err)
	}
}

func TestSweepLeavesWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := sqltest.SharedPostgres(t)
	servertest.Sweep(filepath.Dir(s.Dir), 0)
	if _, err := os.Stat(s.Dir); err != nil {
		t.Error(err)
	}
	want(t, s, "SELECT 1;", "1")
}

// What PostgreSQL forks is in groups of its own.
func TestKillTakesBackends(t *testing.T) {
	t.Parallel()
	s := sqltest.StartPostgres(t)
	open(t, s).number(t, "BEGIN; SELECT 1;")
	family := servertest.Family(s.PID())
	servertest.KillAtEnd(t, family...)
	if len(family) < 6 {
		t.Errorf("%v: where are the children?", family)
	}
	s.Kill()
	for _, pid := range family {
		if !servertest.Gone(pid) {
			t.Errorf("%d is left of %v", pid, family)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.start(t)
			session := open(t, s)
			session.number(t, "SELECT 1;") // its backend is stopped, too
			for n := range 20 {
				s.Pause()
				for _, pid := range servertest.Family(s.PID()) {
					if !servertest.Stopped(pid) {
						t.Errorf("the server is paused, and %d is not", pid)
					}
				}
				s.Resume()
				if got := session.number(t, "SELECT 1;"); got != 1 {
					t.Errorf("%d: got %v", n, got)
				}
			}
		})
	}
}

func TestShared(t *testing.T) {
	if servertest.IsChild() {
		p, m := sqltest.SharedPostgres(t), sqltest.SharedMariaDB(t)
		servertest.Tell("%d %d %s", p.PID(), m.PID(), filepath.Dir(p.Dir))
		return
	}
	t.Parallel()
	cmd := servertest.Child(t)
	out := servertest.Output(t, cmd)
	var (
		pids [2]int
		dir  string
	)
	servertest.Expect(t, out, "%d %d %s", &pids[0], &pids[1], &dir)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if !servertest.Gone(pid) {
			t.Error("a server has outlived the tests")
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the folder for temporary files still has %v, %v", left, err)
	}
}
