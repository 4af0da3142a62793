package sqltest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/servertest"
)

// StartPgbouncer starts a pgbouncer in front of a PostgreSQL server; it ends with the
// test. The mode is "session", "transaction" or "statement". The config are more
// settings, such as "default_pool_size=5". The URLs of the returned server lead through
// pgbouncer, which uses the machine's clock.
func StartPgbouncer(tb testing.TB, postgres *Server, mode string, config ...string) *Server {
	tb.Helper()
	path, err := find(missingPgbouncer, "pgbouncer")
	if err != nil {
		tb.Fatal(err)
	}
	base, err := servertest.Start(tb, unprivileged(tb), func(s *servertest.Server) (servertest.Plan, error) {
		host, port := hostPort(postgres.Addr)
		own, listen := hostPort(s.Addr)
		pidFile := filepath.Join(s.Dir, "pid")
		settings := append([]string{
			"listen_addr=" + own,
			"listen_port=" + listen,
			"unix_socket_dir=",
			"auth_type=any", // every client is the user of the database line
			"pool_mode=" + mode,
			"pidfile=" + pidFile,
			"max_client_conn=1000",
			"default_pool_size=20",
			"ignore_startup_parameters=extra_float_digits",
			"server_round_robin=1", // so that clients do not keep their connections by chance
		}, config...)
		file := filepath.Join(s.Dir, "pgbouncer.ini")
		content := "[databases]\n* = host=" + host + " port=" + port + " user=postgres\n" +
			"[pgbouncer]\n" + strings.Join(settings, "\n") + "\n"
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil { //nolint:gosec // the server runs as another user
			return servertest.Plan{}, err
		}
		return servertest.Plan{
			Name:     "sqltest: pgbouncer",
			Path:     path,
			Args:     []string{file},
			StopWith: syscall.SIGTERM,
			Ready:    func(pid int) error { return pgbouncerReady(s.Addr, pidFile, pid) },
			Taken:    []string{"Address already in use", "Address in use"},
		}, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	s := newServer(tb, base, postgres.kind)
	s.host = postgres
	return s
}

func pgbouncerReady(addr, pidFile string, pid int) error {
	if err := hasPID(pidFile, pid); err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", addr, probeTimeout) //nolint:noctx // it has a timeout
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	// Request TLS, because the server answers that before anything else.
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}
