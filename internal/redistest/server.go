package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startPatience = 30 * time.Second // of a machine under load; a start takes 15 ms
	stopPatience  = 15 * time.Second // Redis waits 10 s for replicas that lag
	probeTimeout  = 500 * time.Millisecond
	callTimeout   = 5 * time.Second
	startAttempts = 10
)

// A Server is one redis-server process. Its methods are safe for concurrent
// use.
type Server struct {
	Addr string // host:port, the same after Restart

	tb       testing.TB
	binary   Binary
	port     int
	dir      string
	args     []string
	env      []string
	password string

	mu   sync.Mutex
	proc *process
}

// A plan is what to start.
type plan struct {
	args []string // after those that every server gets
	env  []string
	conf string // the configuration file
}

// Start starts a server that is alone. The config are further arguments of
// redis-server, as in "--maxmemory", "2mb". It ends with the test.
func Start(tb testing.TB, config ...string) *Server {
	tb.Helper()
	return theBinary(tb).Start(tb, config...)
}

// Start starts a server, as the function of this name does.
func (b Binary) Start(tb testing.TB, config ...string) *Server {
	tb.Helper()
	return b.mustStart(tb, plan{args: config})
}

// theBinary is the one that the functions of the package start.
func theBinary(tb testing.TB) Binary {
	tb.Helper()
	b, err := defaultBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (b Binary) mustStart(tb testing.TB, p plan) *Server {
	tb.Helper()
	s, err := b.start(tb, p)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// start starts a server on some port; somebody may take that port before the
// server has it, then on another.
func (b Binary) start(tb testing.TB, p plan) (*Server, error) {
	tb.Helper()
	for attempt := 1; ; attempt++ {
		port, release, err := takePort()
		if err != nil {
			return nil, err
		}
		s, err := b.startOn(tb, port, p)
		if err == nil {
			tb.Cleanup(func() {
				s.Kill()
				release()
			})
			return s, nil
		}
		release()
		if !errors.Is(err, errPortTaken) || attempt == startAttempts {
			return nil, err
		}
	}
}

func (b Binary) startOn(tb testing.TB, port int, p plan) (*Server, error) {
	tb.Helper()
	s := &Server{Addr: address(port), tb: tb, binary: b, port: port, dir: tb.TempDir(), env: p.env}
	// A file, even an empty one, is what CONFIG REWRITE and sentinels need.
	file := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(file, []byte(p.conf), 0o600); err != nil {
		return nil, err
	}
	own := []string{
		file,
		"--port", strconv.Itoa(port),
		"--bind", "127.0.0.1",
		"--dir", s.dir,
		"--logfile", s.logPath(),
	}
	if !slices.Contains(p.args, "--sentinel") {
		own = append(own, b.defaults()...)
	}
	s.args = append(own, p.args...)
	if i := slices.Index(p.args, "--requirepass"); i >= 0 && i+1 < len(p.args) {
		s.password = p.args[i+1]
	}
	return s, s.launch()
}

// defaults are the arguments of every server that is not a sentinel.
func (b Binary) defaults() []string {
	args := []string{
		"--save", "", "--appendonly", "no",
		// With diskless replication a replica may get nothing for a second after its
		// link is up; a master killed in that second takes all writes with it.
		"--repl-diskless-sync", "no",
		"--repl-ping-replica-period", "1",
	}
	if b.major() >= 7 { // before, DEBUG was open to all
		args = append(args, "--enable-debug-command", "local")
	}
	return args
}

var errPortTaken = errors.New("the port was taken")

// launch runs the server and waits until it answers.
func (s *Server) launch() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	before, err := log.Seek(0, 2)
	if err != nil {
		return err
	}
	// Not the context of the test: that ends before its cleanups, which may use the server.
	cmd := exec.CommandContext(context.Background(), s.binary.Path, s.args...) //nolint:gosec // the developer's own
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = log, log // a bad argument is reported there
	p, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	if err := s.awaitReady(p); err != nil {
		p.kill()
		tail := s.logTail(before)
		if strings.Contains(tail, "Address already in use") || strings.Contains(tail, "Failed listening") {
			err = errPortTaken
		}
		return fmt.Errorf("redistest: %s did not start: %w\n%s", s.binary.Name, err, tail)
	}
	return nil
}

// awaitReady waits until the process answers PING. Another server may answer on
// the port, if this one came too late for it.
func (s *Server) awaitReady(p *process) error {
	deadline := time.Now().Add(startPatience)
	for {
		err := s.ready(p.cmd.Process.Pid)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %v", p.cmd.ProcessState)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %v: %w", startPatience, err)
		}
	}
}

func (s *Server) ready(pid int) error {
	c, err := dial(s.Addr, s.password, probeTimeout)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.do("PING"); err != nil {
		return err
	}
	info, err := c.do("INFO", "server")
	if err != nil {
		return err
	}
	if text, _ := info.(string); parseInfo(text)["process_id"] != strconv.Itoa(pid) {
		return errors.New("another process answers")
	}
	return nil
}

func (s *Server) logPath() string { return filepath.Join(s.dir, "log") }

// logTail returns the end of what was logged after an offset.
func (s *Server) logTail(offset int64) string {
	b, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	b = b[min(int(offset), len(b)):]
	return string(b[max(0, len(b)-2000):])
}

// Do sends one command over a connection of its own and returns the reply: a
// string, an int64, nil or a []any of these. An error that the server replies
// with is a [ReplyError].
func (s *Server) Do(args ...any) (any, error) {
	return s.doIn(callTimeout, args...)
}

func (s *Server) doIn(timeout time.Duration, args ...any) (any, error) {
	c, err := dial(s.Addr, s.password, timeout)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return c.do(args...)
}

// MustDo is Do, and fails the test on an error.
func (s *Server) MustDo(tb testing.TB, args ...any) any {
	tb.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		tb.Fatalf("redistest: %v: %v", args[0], err)
	}
	return reply
}

// PID returns the process, 0 while none runs.
func (s *Server) PID() int {
	if p := s.process(); p.running() {
		return p.cmd.Process.Pid
	}
	return 0
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Pause stops the process (SIGSTOP). It still has its connections, and the
// kernel accepts new ones for it, but it does nothing until Resume.
func (s *Server) Pause() {
	s.tb.Helper()
	if err := s.process().pause(); err != nil {
		s.tb.Errorf("redistest: pause: %v", err)
	}
}

// Resume lets a paused process go on (SIGCONT).
func (s *Server) Resume() {
	s.tb.Helper()
	if err := s.process().resume(); err != nil {
		s.tb.Errorf("redistest: resume: %v", err)
	}
}

// Kill ends the process as a power failure would (SIGKILL) and waits until it
// is gone. Nothing happens when it is gone already.
func (s *Server) Kill() { s.process().kill() }

// Stop ends the process as an operator would (SIGTERM) and waits until it is
// gone. It saves what it is configured to save, which is nothing by default.
func (s *Server) Stop() {
	s.tb.Helper()
	if err := s.process().end(stopPatience); err != nil {
		s.tb.Errorf("redistest: stop: %v", err)
	}
}

// Restart starts the server again, on the same port and with what it has
// persisted: nothing by default. A server that still runs is killed before.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	// A child that was saving has the port, too, until it is gone.
	for attempt := 1; ; attempt++ {
		err := s.launch()
		if err == nil {
			return
		}
		if !errors.Is(err, errPortTaken) || attempt == startAttempts {
			tb.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Host and port apart, as some commands want them.
func (s *Server) hostPort() (host, port any) {
	h, p, _ := net.SplitHostPort(s.Addr)
	return h, p
}
