package sqltest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/servertest"
)

// The user of the tests, and the first database.
const (
	mariadbUser     = "tester"
	mariadbPassword = "secret"
	mariadbDatabase = "tests"
)

// StartMariaDB starts a MariaDB server that ends with the test. The config are more
// arguments, such as "--innodb-lock-wait-timeout=1" or
// "--innodb-flush-log-at-trx-commit=1". A killed server loses no committed data, because
// the machine keeps running.
func StartMariaDB(tb testing.TB, config ...string) *Server {
	tb.Helper()
	path, err := mariadbBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, path, mariadbKind{path}, func(s *servertest.Server) servertest.Plan {
		pidFile := filepath.Join(s.Dir, "pid")
		args := []string{
			"--no-defaults",
			"--datadir=" + filepath.Join(s.Dir, "data"),
			"--tmpdir=" + s.Dir,
			"--port=" + strconv.Itoa(s.Port),
			"--bind-address=127.0.0.1",
			"--socket=", // no socket: the path of the folder may be too long for one
			"--pid-file=" + pidFile,
			"--init-file=" + filepath.Join(s.Dir, "data", mariadbUsersFile),
			"--skip-name-resolve",
			"--max-connections=300",
			"--character-set-server=utf8mb4",
			"--innodb-flush-log-at-trx-commit=2",
			"--innodb-flush-method=nosync",
			"--sync-frm=0",
			"--innodb-buffer-pool-size=64M",
			"--innodb-log-file-size=16M",
			"--performance-schema=OFF",
			"--default-time-zone=+00:00",
		}
		return servertest.Plan{
			Name:  "sqltest: MariaDB",
			Args:  append(args, config...),
			Ready: func(pid int) error { return mariadbReady(s.Addr, pidFile, pid) },
			Taken: []string{"Address already in use"},
		}
	})
}

const mariadbUsersFile = "users.sql"

// mariadbUsers runs at each start.
const mariadbUsers = "CREATE DATABASE IF NOT EXISTS " + mariadbDatabase + ";\n" +
	"CREATE USER IF NOT EXISTS '" + mariadbUser + "'@'127.0.0.1' IDENTIFIED BY '" + mariadbPassword + "';\n" +
	"GRANT ALL ON *.* TO '" + mariadbUser + "'@'127.0.0.1' WITH GRANT OPTION;\n"

// mariadbReady checks that a server sends its greeting, and that it is this process.
func mariadbReady(addr, pidFile string, pid int) error {
	c, err := net.DialTimeout("tcp", addr, probeTimeout) //nolint:noctx // it has a timeout
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	greeting := make([]byte, 5)
	if _, err := io.ReadFull(c, greeting); err != nil {
		return err
	}
	if greeting[4] != 10 { // the protocol version; 255 means an error
		return fmt.Errorf("the server greets with %d", greeting[4])
	}
	return hasPID(pidFile, pid)
}

// hasPID checks that a server has written its process id to a file.
func hasPID(file string, pid int) error {
	b, err := os.ReadFile(file) //nolint:gosec // the server's own
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(b)) != strconv.Itoa(pid) {
		return errors.New("another process answers")
	}
	return nil
}

type mariadbKind struct{ server string }

func (k mariadbKind) install(as *servertest.Account, data string) error {
	install, err := beside(k.server, missingMariaDB, "mariadb-install-db", "mysql_install_db")
	if err != nil {
		return err
	}
	cmd := command(install, "--no-defaults", "--datadir="+data, "--skip-test-db",
		"--auth-root-authentication-method=normal", "--innodb-log-file-size=4M", "--innodb-flush-method=nosync")
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(data))
	if _, err := as.Run(cmd); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, mariadbUsersFile), []byte(mariadbUsers), 0o644) //nolint:gosec // the server may run as another user
}

func (mariadbKind) url(addr, database string) string {
	if database == "" {
		database = mariadbDatabase
	}
	return "mysql://" + mariadbUser + ":" + mariadbPassword + "@" + addr + "/" + database
}

func (k mariadbKind) client(addr, database string) (*exec.Cmd, error) {
	client, err := beside(k.server, missingMariaDB, "mariadb", "mysql")
	if err != nil {
		return nil, err
	}
	if database == "" {
		database = mariadbDatabase
	}
	host, port := hostPort(addr)
	return command(client, "--no-defaults", "--protocol=tcp", "--host="+host, "--port="+port,
		"--user="+mariadbUser, "--password="+mariadbPassword, "--batch", "--skip-column-names", database), nil
}

// drop sets a timeout, because DROP would wait a day for a transaction that a test left
// open.
func (mariadbKind) drop(database string) string {
	return "SET lock_wait_timeout = 5; DROP DATABASE " + database
}
