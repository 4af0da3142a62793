package sqltest

import (
	"context"
	"crypto/rand"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/servertest"
)

const (
	probeTimeout = 500 * time.Millisecond
	callTimeout  = 30 * time.Second // of a machine under load
)

// A Server is a PostgreSQL, MariaDB or pgbouncer server. Its methods are safe for
// concurrent use.
type Server struct {
	*servertest.Server

	tb   testing.TB
	kind kind
	host *Server // has the databases: another one for pgbouncer
}

func newServer(tb testing.TB, base *servertest.Server, k kind) *Server {
	tb.Helper()
	s := &Server{Server: base, tb: tb, kind: k}
	s.host = s
	return s
}

// A kind is what differs between servers.
type kind interface {
	// install fills the data folder of a new server, as an account.
	install(as *servertest.Account, data string) error

	// url returns the URL of a database of a server at addr. Without a name: of the
	// database that the server begins with.
	url(addr, database string) string

	// client returns the command that runs the statements that it reads.
	client(addr, database string) (*exec.Cmd, error)

	// drop returns the statements that remove a database.
	drop(database string) string
}

// start starts a server that has its data in the folder "data" of its own.
func start(tb testing.TB, path string, k kind, plan func(*servertest.Server) servertest.Plan) *Server {
	tb.Helper()
	as := unprivileged(tb)
	data, err := templateOf(path, as, k)
	if err != nil {
		tb.Fatal(err)
	}
	base, err := servertest.Start(tb, as, func(s *servertest.Server) (servertest.Plan, error) {
		p := plan(s)
		p.Path, p.Clock = path, servertest.CanSetClock()
		return p, data.unpack(as, s.Dir)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return newServer(tb, base, k)
}

// unprivileged returns who servers run as: all but MariaDB refuse to run as root.
func unprivileged(tb testing.TB) *servertest.Account {
	tb.Helper()
	as, err := servertest.Unprivileged()
	if err != nil {
		tb.Fatal(err)
	}
	return as
}

// URL returns where the server is, as the Open of sql/postgres or sql/mysql wants
// it: with the server's first user, who may do anything, and the database that the
// server begins with.
func (s *Server) URL() string { return s.kind.url(s.Addr, "") }

// URLAt returns the URL of a [Proxy] before a database that [Server.URL] or
// [Server.Database] gave.
func (s *Server) URLAt(p *Proxy, url string) string { return strings.Replace(url, s.Addr, p.Addr, 1) }

// Database makes an empty database and returns its URL. It goes with the test.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if _, err := s.host.run("", "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	if s.host.tb != tb { // else the server goes with the test, too
		tb.Cleanup(func() {
			if _, err := s.host.run("", s.kind.drop(name)); err != nil {
				tb.Error(err)
			}
		})
	}
	return s.kind.url(s.Addr, name)
}

// SQL runs statements with the client that comes with the server, over a
// connection of its own to [Server.URL], and returns the rows that they give:
// columns are separated by tabs, rows by newlines. It is for what a test needs
// beside the driver. An error fails the test.
func (s *Server) SQL(tb testing.TB, statements string) string {
	tb.Helper()
	out, err := s.run("", statements)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func (s *Server) run(database, statements string) (string, error) {
	cmd, err := s.kind.client(s.Addr, database)
	if err != nil {
		return "", err
	}
	cmd.Stdin = strings.NewReader(statements)
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(callTimeout, func() { _ = cmd.Cancel() })
	defer timer.Stop()
	out, err := (*servertest.Account)(nil).Run(cmd)
	return strings.TrimSuffix(string(out), "\n"), err
}

func command(path string, args ...string) *exec.Cmd {
	// Not the context of the test: that ends before its cleanups.
	return exec.CommandContext(context.Background(), path, args...) //nolint:gosec // the developer's own
}

// Main runs the tests of a package and then ends the shared servers:
//
//	func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }
func Main(m *testing.M) int { return servertest.Main(m) }

// SharedPostgres returns a server that all tests of the test binary share. The
// first call starts it. It needs [Main].
func SharedPostgres(tb testing.TB) *Server {
	tb.Helper()
	return sharedPostgres()
}

// SharedMariaDB returns a server that all tests of the test binary share, as
// [SharedPostgres] does.
func SharedMariaDB(tb testing.TB) *Server {
	tb.Helper()
	return sharedMariaDB()
}

//nolint:gochecknoglobals // there is one of each, as there is one Main
var (
	sharedPostgres = sync.OnceValue(func() *Server { return StartPostgres(servertest.Shared()) })
	sharedMariaDB  = sync.OnceValue(func() *Server { return StartMariaDB(servertest.Shared()) })
)

// A Proxy is a TCP proxy before a server, for faults of the network. Its Match
// gets what the client sends in one piece.
type Proxy = servertest.Proxy

// NewProxy starts a proxy before a server. It ends with the test. See
// [Server.URLAt].
func NewProxy(tb testing.TB, s *Server) *Proxy {
	tb.Helper()
	return servertest.NewProxy(tb, s.Addr, nil)
}
