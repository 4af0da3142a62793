package sqltest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mist-contrib/session/internal/servertest"
)

// StartPostgres starts a PostgreSQL server that ends with the test. The config are more
// settings, such as "max_connections=20" or "fsync=on". A killed server loses no
// committed data, because the machine keeps running. If the machine itself fails, only
// fsync=on protects the data.
func StartPostgres(tb testing.TB, config ...string) *Server {
	tb.Helper()
	path, err := postgresBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, path, postgresKind{path}, func(s *servertest.Server) servertest.Plan {
		dir := filepath.Join(s.Dir, "data")
		args := []string{"-D", dir, "-p", strconv.Itoa(s.Port)}
		for _, setting := range append([]string{
			"listen_addresses=127.0.0.1",
			"unix_socket_directories=",
			"max_connections=300",
			"fsync=off", "full_page_writes=off",
			"dynamic_shared_memory_type=mmap", // in the server's folder, so a killed server leaves no shared memory behind
			"min_wal_size=2MB", "max_wal_size=64MB",
			"timezone=UTC", "log_timezone=UTC",
		}, config...) {
			args = append(args, "-c", setting)
		}
		return servertest.Plan{
			Name:     "sqltest: PostgreSQL",
			Args:     args,
			StopWith: syscall.SIGINT, // fast shutdown: SIGTERM waits for clients
			Ready:    func(pid int) error { return postgresReady(dir, pid) },
			Taken:    []string{"Address already in use", "pre-existing shared memory block"},
		}
	})
}

// postgresReady reads the server's state from its pid file.
func postgresReady(dir string, pid int) error {
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid")) //nolint:gosec // the server's own
	if err != nil {
		return err
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 8 || lines[0] != strconv.Itoa(pid) || strings.TrimSpace(lines[7]) != "ready" {
		return errors.New("the server does not say that it is ready")
	}
	return nil
}

type postgresKind struct{ server string }

func (k postgresKind) install(as *servertest.Account, data string) error {
	initdb, err := beside(k.server, missingPostgres, "initdb")
	if err != nil {
		return err
	}
	_, err = as.Run(command(initdb, "-D", data, "-U", "postgres", "-A", "trust",
		"--no-locale", "-E", "UTF8", "--wal-segsize=1", "--no-sync"))
	return err
}

func (postgresKind) url(addr, database string) string {
	if database == "" {
		database = "postgres"
	}
	return "postgres://postgres@" + addr + "/" + database + "?sslmode=disable"
}

func (k postgresKind) client(addr, database string) (*exec.Cmd, error) {
	psql, err := beside(k.server, missingPostgres, "psql")
	if err != nil {
		return nil, err
	}
	return command(psql, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t",
		"--set=ON_ERROR_STOP=1", k.url(addr, database)), nil
}

func (postgresKind) drop(database string) string {
	return "DROP DATABASE " + database + " WITH (FORCE)"
}

func hostPort(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}
