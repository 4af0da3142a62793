package e2e_test

import (
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// A redisServer is a process that keeps its data on disk.
type redisServer struct {
	t         *testing.T
	port, dir string
	cmd       *exec.Cmd
}

// startRedis starts redis-server, or $REDIS_SERVER, until the end of the test.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s := &redisServer{t: t, port: port, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(cmp.Or(os.Getenv("REDIS_SERVER"), "redis-server"),
		"--bind", "localhost", "--port", s.port, "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), startLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", "localhost:"+s.port)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatal("redis-server does not start")
		}
	}
}

func (s *redisServer) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// TestDeviceBoundRedis: users stay logged in if Redis does not answer while the browser
// refreshes a bound cookie, and if Redis is killed and starts again.
func TestDeviceBoundRedis(t *testing.T) {
	server := startRedis(t)
	t.Setenv("SESSION_STORE", "redis://localhost:"+server.port)
	t.Setenv("SESSION_DEVICE_BOUND", boundFor.String())
	t.Setenv("SESSION_COOKIE_NAME", "__Host-session")
	logs := regexp.MustCompile(event.String() + `|ERROR session kind=failed cause="redis: [^"]*"$|^redis: .* connection pool: failed to dial`)
	s := shop{startLogin(t, logs, "-cert", own.certFile, "-key", own.keyFile), "__Host-session"}
	b := openTab(t, s)
	b.login()
	b.wantBound()
	for _, outage := range []struct {
		what       string
		begin, end func()
	}{
		{"does not answer", func() { server.signal(syscall.SIGSTOP) }, func() { server.signal(syscall.SIGCONT) }},
		{"is killed", server.kill, server.start},
	} {
		b.expire()
		outage.begin()
		if got := b.open("/"); got != 503 {
			t.Errorf("while Redis %s: got status %d, want 503", outage.what, got)
		}
		outage.end()
		b.wait("logged in when Redis is back", func() bool { return b.open("/") == 200 })
		b.wantText("#user", "ada")
	}
}
