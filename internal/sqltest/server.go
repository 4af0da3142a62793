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
	host *Server // the server with the databases: for pgbouncer, the PostgreSQL server
}

func newServer(tb testing.TB, base *servertest.Server, k kind) *Server {
	tb.Helper()
	s := &Server{Server: base, tb: tb, kind: k}
	s.host = s
	return s
}

// A kind is the part that differs between servers.
type kind interface {
	// install fills the data folder of a new server, running as an account.
	install(as *servertest.Account, data string) error

	// url returns the URL of a database of the server at addr. An empty name means the
	// server's first database.
	url(addr, database string) string

	// client returns a command that runs the statements from its standard input.
	client(addr, database string) (*exec.Cmd, error)

	// drop returns the statements that remove a database.
	drop(database string) string
}

// start starts a server whose data is in the subfolder "data" of its folder.
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

// unprivileged returns the account for servers. All servers except MariaDB refuse to run
// as root.
func unprivileged(tb testing.TB) *servertest.Account {
	tb.Helper()
	as, err := servertest.Unprivileged()
	if err != nil {
		tb.Fatal(err)
	}
	return as
}

// URL returns the URL of the server's first database, for Open of sql/postgres or
// sql/mysql. Its user is the server's first user, who has all rights.
func (s *Server) URL() string { return s.kind.url(s.Addr, "") }

// URLAt returns url with the address of a [Proxy]. The url comes from [Server.URL] or
// [Server.Database].
func (s *Server) URLAt(p *Proxy, url string) string { return strings.Replace(url, s.Addr, p.Addr, 1) }

// Database makes an empty database and returns its URL. It is removed after the test.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if _, err := s.host.run("", "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	if s.host.tb != tb { // otherwise the server also ends with this test
		tb.Cleanup(func() {
			if _, err := s.host.run("", s.kind.drop(name)); err != nil {
				tb.Error(err)
			}
		})
	}
	return s.kind.url(s.Addr, name)
}

// SQL runs statements with the server's own client, over a separate connection to
// [Server.URL], and returns the rows. Tabs separate columns, newlines separate rows. It
// is for statements that a test runs outside the driver. An error fails the test.
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
	// The test's context ends before its cleanups.
	return exec.CommandContext(context.Background(), path, args...) //nolint:gosec // the developer's own
}

// Main runs the tests of a package and then ends the shared servers:
//
//	func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }
func Main(m *testing.M) int { return servertest.Main(m) }

// SharedPostgres returns a server that all tests of the test binary share. The first
// call starts it. It needs [Main].
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

// A Proxy is a TCP proxy in front of a server that injects network faults. Its Match
// gets each piece of data that the client sends.
type Proxy = servertest.Proxy

// NewProxy starts a proxy in front of a server. It ends with the test. See
// [Server.URLAt].
func NewProxy(tb testing.TB, s *Server) *Proxy {
	tb.Helper()
	return servertest.NewProxy(tb, s.Addr, nil)
}
