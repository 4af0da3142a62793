package redistest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/servertest"
)

const (
	probeTimeout  = 500 * time.Millisecond
	callTimeout   = 5 * time.Second
	startAttempts = 10
)

// A Server is one redis-server process. Its methods are safe for concurrent use. Stop saves
// the data as configured, and Restart loads the saved data. By default nothing is saved.
type Server struct {
	*servertest.Server

	password string
}

// A plan says how to start a server.
type plan struct {
	args  []string // they follow the arguments of all servers
	conf  string   // the configuration file
	clock bool     // whether the clock can be set
}

// Start starts a single server. config holds further arguments of redis-server, such as
// "--maxmemory", "2mb". The server ends with the test.
func Start(tb testing.TB, config ...string) *Server {
	tb.Helper()
	return theBinary(tb).Start(tb, config...)
}

// Start starts a server of this binary, like the function Start.
func (b Binary) Start(tb testing.TB, config ...string) *Server {
	tb.Helper()
	return b.mustStart(tb, plan{args: config})
}

// theBinary returns the binary that the functions of the package start.
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

// start starts a server on some port.
func (b Binary) start(tb testing.TB, p plan) (*Server, error) {
	tb.Helper()
	s := new(Server)
	base, err := servertest.Start(tb, nil, func(base *servertest.Server) (servertest.Plan, error) {
		s.Server = base
		return b.plan(s, p)
	})
	s.Server = base
	return s, err
}

// startOn starts a server on a port that the caller has taken.
func (b Binary) startOn(tb testing.TB, port int, p plan) (*Server, error) {
	tb.Helper()
	s := new(Server)
	_, err := servertest.StartOn(tb, port, nil, func(base *servertest.Server) (servertest.Plan, error) {
		s.Server = base
		return b.plan(s, p)
	})
	return s, err
}

func (b Binary) plan(s *Server, p plan) (servertest.Plan, error) {
	// CONFIG REWRITE and sentinels need a file, even an empty one.
	file := filepath.Join(s.Dir, "redis.conf")
	if err := os.WriteFile(file, []byte(p.conf), 0o600); err != nil {
		return servertest.Plan{}, err
	}
	args := []string{
		file,
		"--port", strconv.Itoa(s.Port),
		"--bind", "127.0.0.1",
		"--dir", s.Dir,
	}
	if !slices.Contains(p.args, "--sentinel") {
		args = append(args, b.defaults()...)
	}
	if i := slices.Index(p.args, "--requirepass"); i >= 0 && i+1 < len(p.args) {
		s.password = p.args[i+1]
	}
	return servertest.Plan{
		Name:  "redistest: " + b.Name,
		Path:  b.Path,
		Args:  append(args, p.args...),
		Clock: p.clock,
		Ready: s.ready,
		Taken: []string{"Address already in use", "Failed listening"},
	}, nil
}

// defaults returns the arguments of every server that is not a sentinel.
func (b Binary) defaults() []string {
	args := []string{
		"--save", "", "--appendonly", "no",
		// With diskless replication a replica may get no writes for a second after its link is
		// up. If the master is killed in that second, they are lost.
		"--repl-diskless-sync", "no",
		"--repl-ping-replica-period", "1",
	}
	if b.major() >= 7 { // older servers always allow DEBUG
		args = append(args, "--enable-debug-command", "local")
	}
	return args
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

// Do sends one command over a new connection and returns the reply: a string, an int64, nil
// or a []any of these. An error reply of the server is a [ReplyError].
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

// MustDo is like Do, but fails the test on an error.
func (s *Server) MustDo(tb testing.TB, args ...any) any {
	tb.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		tb.Fatalf("redistest: %v: %v", args[0], err)
	}
	return reply
}

func (s *Server) hostPort() (host, port any) {
	h, p, _ := net.SplitHostPort(s.Addr)
	return h, p
}
