package sqltest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/sqltest"
)

// shows checks that a server's clock is off by an offset.
func shows(t *testing.T, s *sqltest.Server, statement string, offset time.Duration) {
	t.Helper()
	before := time.Now()
	text := s.SQL(t, statement)
	after := time.Now()
	shown, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	const slack = 5 * time.Millisecond // of the machine's clock, and of a float
	now := time.UnixMicro(int64(shown * 1e6)).Add(-offset)
	if now.Before(before.Add(-slack)) || now.After(after.Add(slack)) {
		t.Errorf("%s shows %v off by %v, not between %v and %v", statement, now, offset, before, after)
	}
}

// TestClock gives a server of each kind a clock of its own, in several steps.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.start(t)
			t.Run("set", func(t *testing.T) { setClock(t, s, k) })
			t.Run("stopped", func(t *testing.T) { stopClock(t, s, k) })
			t.Run("of connections", func(t *testing.T) { setClockOfConnections(t, s, k) })
			t.Run("waits", func(t *testing.T) { clockLeavesWaits(t, s, k) })
		})
	}
}

func setClock(t *testing.T, s *sqltest.Server, k kind) {
	t.Helper()
	for _, offset := range []time.Duration{
		0, 90*time.Second + 700*time.Millisecond, 1000 * time.Hour, -time.Hour - 300*time.Millisecond, 0,
	} {
		s.SetClock(offset)
		shows(t, s, k.now, offset)
		shows(t, s, k.stamp, offset)
	}
	s.SetClock(time.Hour)
	s.Restart(t) // keeps its clock
	shows(t, s, k.now, time.Hour)
}

// A clock that stands shows the same to every connection, and runs again. MariaDB lets
// each further command of a connection begin a microsecond later.
func stopClock(t *testing.T, s *sqltest.Server, k kind) {
	t.Helper()
	session := open(t, s)
	session.number(t, k.now) // now it is connected
	for _, at := range []int64{1_900_000_000, 1_900_000_001, 1_000_000_002} {
		s.StopClock(time.Unix(at, 0))
		if got := session.number(t, k.stamp); got != float64(at) {
			t.Errorf("%s of a connection shows %f, not %d", k.stamp, got, at)
		}
		for _, statement := range []string{k.stamp, k.now} {
			other, err := strconv.ParseFloat(s.SQL(t, statement), 64)
			for _, got := range []float64{session.number(t, statement), other} {
				if late := got - float64(at); late < 0 || late > 0.0001 || err != nil {
					t.Errorf("%s shows %f seconds more than %d: %v", statement, late, at, err)
				}
			}
		}
	}
	s.SetClock(time.Hour)
	shows(t, s, k.now, time.Hour)
}

// A connection that is there sees the new time, too.
func setClockOfConnections(t *testing.T, s *sqltest.Server, k kind) {
	t.Helper()
	s.SetClock(0)
	session := open(t, s)
	before := session.number(t, k.now)
	s.SetClock(time.Hour)
	after := session.number(t, k.now)
	if passed := after - before; passed < 3600 || passed > 3660 {
		t.Errorf("%v seconds have passed for it", passed)
	}
}

// Waits are of the monotonic world, however they are made.
func clockLeavesWaits(t *testing.T, s *sqltest.Server, k kind) {
	t.Helper()
	for _, offset := range []time.Duration{1000 * time.Hour, -1000 * time.Hour} {
		s.SetClock(offset)
		start := time.Now()
		s.SQL(t, k.sleep)
		if d := time.Since(start); d < 900*time.Millisecond || d > 10*time.Second {
			t.Errorf("with the clock off by %v a second takes %v", offset, d)
		}
	}
}

// MariaDB gives up waiting for a lock at a time of the wall clock.
func TestClockLeavesLockWaits(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{1000 * time.Hour, -1000 * time.Hour} {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			s := sqltest.StartMariaDB(t, "--innodb-lock-wait-timeout=1", "--lock-wait-timeout=1")
			s.SetClock(offset)
			for i, wait := range []string{
				"UPDATE {t} SET n = 2;", // InnoDB
				"SELECT GET_LOCK('{t}', 1); SIGNAL SQLSTATE '45000';",
				"LOCK TABLES {t} WRITE;",
				"SET max_statement_time = 1; UPDATE {t} SET n = 3;",
			} {
				t.Run(wait[:9], func(t *testing.T) {
					t.Parallel()
					own := strings.NewReplacer("{t}", fmt.Sprint("t", i))
					s.SQL(t, own.Replace("CREATE TABLE {t} (n int) ENGINE=InnoDB; INSERT INTO {t} VALUES (1);"))
					session := open(t, s)
					session.number(t, own.Replace("SELECT GET_LOCK('{t}', 0); "))
					session.number(t, own.Replace("BEGIN; UPDATE {t} SET n = 4; SELECT 1;"))
					start := time.Now()
					f := &failure{TB: t}
					f.run(func() { s.SQL(f, own.Replace(wait)) })
					if d := time.Since(start); f.text == "" || d < 900*time.Millisecond || d > 10*time.Second {
						t.Errorf("after %v: %q", d, f.text)
					}
				})
			}
		})
	}
}
