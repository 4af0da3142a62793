package redistest_test

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/redistest"
)

func TestStart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory", "2mb")
	if host, _, err := net.SplitHostPort(s.Addr); err != nil || host != "127.0.0.1" {
		t.Errorf("Addr %q, want one of 127.0.0.1", s.Addr)
	}
	if got := s.MustDo(t, "CONFIG", "GET", "bind"); !equal(got, "bind", "127.0.0.1") {
		t.Errorf("it listens on %v", got)
	}
	if got := s.MustDo(t, "CONFIG", "GET", "maxmemory"); !equal(got, "maxmemory", "2097152") {
		t.Errorf("the config is not its: %v", got)
	}
	if got := s.Info(t, "server")["process_id"]; got != strconv.Itoa(s.PID()) {
		t.Errorf("PID %d, and the server says %s", s.PID(), got)
	}
	s.MustDo(t, "DEBUG", "SLEEP", 0) // is allowed
}

// equal reports whether a reply is a list of these.
func equal(reply any, want ...any) bool {
	list, ok := reply.([]any)
	if !ok || len(list) != len(want) {
		return false
	}
	for i := range list {
		if list[i] != want[i] {
			return false
		}
	}
	return true
}

func TestDo(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass", "secret")
	binary := "a\r\n\x00\xffz"
	for _, c := range []struct {
		args []any
		want any
	}{
		{[]any{"PING"}, "PONG"},
		{[]any{"SET", "k", []byte(binary)}, "OK"},
		{[]any{"GET", "k"}, binary},
		{[]any{"GET", "none"}, nil},
		{[]any{"SET", "e", ""}, "OK"},
		{[]any{"GET", "e"}, ""},
		{[]any{"INCRBY", "n", 1 << 40}, int64(1 << 40)},
	} {
		if got := s.MustDo(t, c.args...); got != c.want {
			t.Errorf("%v gives %#v, want %#v", c.args, got, c.want)
		}
	}
	if got := s.MustDo(t, "EVAL", "return {1, 'a', false}", 0); !equal(got, int64(1), "a", nil) {
		t.Errorf("a list is %#v", got)
	}
	_, err := s.Do("INCR", "k")
	if failure := redistest.ReplyError(""); !errors.As(err, &failure) || !strings.HasPrefix(err.Error(), "ERR value is not an integer") {
		t.Errorf("an error is %#v", err)
	}
}

func TestManyServersHaveTheirOwn(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 8 {
		s := redistest.Start(t)
		if seen[s.Addr] {
			t.Fatalf("two servers on %s", s.Addr)
		}
		seen[s.Addr] = true
		if got := s.MustDo(t, "DBSIZE"); got != int64(0) {
			t.Errorf("a new server has %v keys", got)
		}
		s.MustDo(t, "SET", "k", 1)
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Pause()
	c, err := net.DialTimeout("tcp", s.Addr, time.Minute)
	if err != nil {
		t.Fatalf("a paused server refuses connections: %v", err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 7)
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused server answers %q, %v", b[:n], err)
	}
	s.Resume()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); string(b[:n]) != "+PONG\r\n" {
		t.Errorf("a resumed server answers %q, %v", b[:n], err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, paused := range []bool{false, true} {
		s.MustDo(t, "SET", "k", 1)
		addr, pid := s.Addr, s.PID()
		if paused {
			s.Pause()
		}
		s.Kill()
		s.Kill() // nothing
		if _, err := s.Do("PING"); err == nil {
			t.Error("a killed server answers")
		}
		if s.PID() != 0 {
			t.Error("a killed server has a process")
		}
		s.Restart(t)
		if s.Addr != addr || s.PID() == pid || s.PID() == 0 {
			t.Errorf("restarted: %s as %d, was %s as %d", s.Addr, s.PID(), addr, pid)
		}
		if got := s.MustDo(t, "GET", "k"); got != nil {
			t.Errorf("restarted: it still has %v", got)
		}
	}
}

func TestRestartKillsWhatRuns(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s.MustDo(t, "SET", "k", 1)
	s.Restart(t)
	if got := s.MustDo(t, "GET", "k"); got != "1" {
		t.Errorf("k is %v, and was to be persisted", got)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--save", "3600 1")
	for _, paused := range []bool{false, true} {
		n := s.MustDo(t, "INCR", "k")
		if paused {
			s.Pause()
		}
		s.Stop()
		s.Stop() // nothing
		if s.PID() != 0 {
			t.Error("a stopped server has a process")
		}
		s.Restart(t)
		if got := s.MustDo(t, "GET", "k"); got != strconv.FormatInt(n.(int64), 10) {
			t.Errorf("k is %v, want %v: it was to be saved", got, n)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	a, b := redistest.Start(t), redistest.Start(t)
	a.MustDo(t, "HSET", "h", "f", 1)
	for range 5 {
		b.MustDo(t, "HGETALL", "h")
	}
	count := redistest.Commands(t, a, b)
	for range 3 {
		a.MustDo(t, "HGETALL", "h")
		b.MustDo(t, "HGETALL", "h")
	}
	b.MustDo(t, "CONFIG", "GET", "bind")
	got := count()
	if got["hgetall"].Calls != 6 || got["hgetall"].Usec <= 0 {
		t.Errorf("hgetall: %+v", got["hgetall"])
	}
	if got["config|get"].Calls != 1 {
		t.Errorf("config|get: %+v", got["config|get"])
	}
	if len(got) != 2 {
		t.Errorf("there is more than what was asked for: %v", got)
	}
	b.Restart(t)
	b.MustDo(t, "HGETALL", "h")
	if got := count()["hgetall"].Calls; got != 4 {
		t.Errorf("after a restart: %d, want 3 and 1", got)
	}
}

func TestSkewed(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{90*time.Second + 700*time.Millisecond, -time.Hour - 300*time.Millisecond} {
		s := redistest.StartSkewed(t, offset)
		for range 2 {
			shown, err := strconv.ParseInt(s.MustDo(t, "TIME").([]any)[0].(string), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			// The package compares exactly; here it is whether the package does.
			off := time.Until(time.Unix(shown, 0)) - offset
			if off > time.Minute || off < -time.Minute {
				t.Errorf("skewed by %v: the clock is off by %v more", offset, off)
			}
			// A time to live is one of the monotonic world to clients: unaffected.
			s.MustDo(t, "SET", "k", 1, "PX", 60000)
			if ttl := s.MustDo(t, "PTTL", "k").(int64); ttl <= 0 || ttl > 60000 {
				t.Errorf("a minute to live is %d ms", ttl)
			}
			s.Restart(t) // keeps its clock
		}
	}
}
