package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startPatience = 30 * time.Second // long, for a machine under load
	stopPatience  = 15 * time.Second // Redis waits 10 s for replicas that lag
	startAttempts = 10
)

// A Server is one server process and the processes that it forks. Its methods are safe
// for concurrent use.
type Server struct {
	Addr string // host:port, the same after Restart
	Port int
	Dir  string // the server's own folder, removed after the test

	tb    testing.TB
	plan  Plan
	clock *clock // nil: the machine's clock

	mu   sync.Mutex
	proc *process
}

// A Plan says how to run a server.
type Plan struct {
	Name     string // for messages, like "redis 7.0.15"
	Path     string
	Args     []string
	Env      []string
	Account  *Account
	Clock    bool // whether the server's clock can be set
	StopWith syscall.Signal
	Ready    func(pid int) error // returns an error until the server is ready
	Taken    []string            // log messages that mean that another process has the port
}

// ErrPortTaken means that another process has the server's port.
var ErrPortTaken = errors.New("the port was taken")

// Start starts a server on a free port. If another process takes the port first, Start
// tries another port. The function plan gets a server that has its address and folder.
// The server ends with the test.
func Start(tb testing.TB, as *Account, plan func(*Server) (Plan, error)) (*Server, error) {
	tb.Helper()
	for attempt := 1; ; attempt++ {
		port, release, err := TakePort()
		if err != nil {
			return nil, err
		}
		s, err := StartOn(tb, port, as, plan)
		if err == nil {
			tb.Cleanup(release)
			tb.Cleanup(s.Kill)
			return s, nil
		}
		release()
		if !errors.Is(err, ErrPortTaken) || attempt == startAttempts {
			return nil, err
		}
	}
}

// StartOn starts a server on a port that the caller has reserved. The caller must kill
// the server.
func StartOn(tb testing.TB, port int, as *Account, plan func(*Server) (Plan, error)) (*Server, error) {
	tb.Helper()
	dir, remove, err := newFolder(as)
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: address(port), Port: port, Dir: dir, tb: tb}
	tb.Cleanup(func() {
		s.Kill() // the caller may have given up
		if err := remove(); err != nil {
			tb.Errorf("%s: %v", s.plan.Name, err)
		}
	})
	if s.plan, err = plan(s); err != nil {
		return s, err
	}
	s.plan.Account = as
	if s.plan.Clock {
		if s.clock, err = newClock(dir); err != nil {
			return s, fmt.Errorf("%s: a clock that can be set: %w", s.plan.Name, err)
		}
	}
	return s, s.launch()
}

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
	// The test's context ends before its cleanups, which may use the server.
	cmd := exec.CommandContext(context.Background(), s.plan.Path, s.plan.Args...) //nolint:gosec // the developer's own
	cmd.Dir, cmd.Env = s.Dir, append(os.Environ(), s.plan.Env...)
	cmd.Env = append(cmd.Env, s.clock.env()...)
	cmd.Stdout, cmd.Stderr = log, log // the server reports bad arguments there
	p, err := startProcess(cmd, s.plan.Account)
	if err != nil {
		return fmt.Errorf("%s: %w", s.plan.Name, err)
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	if err := s.awaitReady(p); err != nil {
		p.kill()
		end := s.logTail(before)
		for _, text := range s.plan.Taken {
			if strings.Contains(end, text) {
				err = ErrPortTaken
			}
		}
		return fmt.Errorf("%s did not start: %w\n%s", s.plan.Name, err, end)
	}
	return nil
}

// awaitReady waits until the process is ready. If this process was too late for the
// port, another server may answer on it.
func (s *Server) awaitReady(p *process) error {
	deadline := time.Now().Add(startPatience)
	for {
		err := s.plan.Ready(p.pid())
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

func (s *Server) logPath() string { return filepath.Join(s.Dir, "log") }

// logTail returns the end of the log after an offset.
func (s *Server) logTail(offset int64) string {
	b, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	return tail(b[min(int(offset), len(b)):])
}

func tail(b []byte) string { return string(b[max(0, len(b)-2000):]) }

// PID returns the process id, or 0 if the server is not running.
func (s *Server) PID() int {
	if p := s.process(); p.running() {
		return p.pid()
	}
	return 0
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Pause stops the server's processes (SIGSTOP) until Resume. They keep their
// connections, and the kernel accepts new ones.
func (s *Server) Pause() {
	s.tb.Helper()
	if err := s.process().pause(); err != nil {
		s.tb.Errorf("%s: pause: %v", s.plan.Name, err)
	}
}

// Resume continues the paused processes (SIGCONT).
func (s *Server) Resume() {
	s.tb.Helper()
	if err := s.process().resume(); err != nil {
		s.tb.Errorf("%s: resume: %v", s.plan.Name, err)
	}
}

// Kill ends the server's processes (SIGKILL), as a power failure would, and waits until
// they have ended. It does nothing if they have already ended.
func (s *Server) Kill() { s.process().kill() }

// Stop ends the server as an operator would (SIGTERM, or the signal in the plan) and
// waits until it has ended.
func (s *Server) Stop() {
	s.tb.Helper()
	signal := s.plan.StopWith
	if signal == 0 {
		signal = syscall.SIGTERM
	}
	if err := s.process().end(signal, stopPatience); err != nil {
		s.tb.Errorf("%s: stop: %v", s.plan.Name, err)
	}
}

// Restart starts the server again on the same port, with its persisted data. It first
// kills a server that still runs. The clock keeps its setting.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	// A forked child that is still saving data also holds the port.
	for attempt := 1; ; attempt++ {
		err := s.launch()
		if err == nil {
			return
		}
		if !errors.Is(err, ErrPortTaken) || attempt == startAttempts {
			tb.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// SetClock gives the server's wall clock an offset, in all its processes at once. The
// server's plan must have a Clock. The monotonic clock and waits based on it are
// unaffected. Some servers do not tolerate a clock that is set back.
func (s *Server) SetClock(offset time.Duration) {
	s.tb.Helper()
	s.setClock(offset, 0)
}

// StopClock stops the server's wall clock at a time until the next StopClock or
// SetClock. Otherwise it is like SetClock. Waits based on the wall clock, such as
// pg_sleep and the locks of MariaDB, do not end while it stands still.
func (s *Server) StopClock(at time.Time) {
	s.tb.Helper()
	s.setClock(0, at.UnixNano())
}

func (s *Server) setClock(offset time.Duration, still int64) {
	s.tb.Helper()
	if err := s.clock.set(offset, still); err != nil {
		s.tb.Fatalf("%s: set the clock: %v", s.plan.Name, err)
	}
}
