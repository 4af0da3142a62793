package sqltest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Each message names the line that fixes the problem.
const (
	missingPostgres  = "sqltest: postgres is missing: apt-get install postgresql"
	missingMariaDB   = "sqltest: mariadbd is missing: apt-get install mariadb-server"
	missingPgbouncer = "sqltest: pgbouncer is missing: apt-get install pgbouncer"
)

// postgresBinary finds $POSTGRES, Debian's newest server, or a server in PATH.
func postgresBinary() (string, error) {
	if path := os.Getenv("POSTGRES"); path != "" {
		return named("POSTGRES", path)
	}
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(paths) > 0 {
		return slices.MaxFunc(paths, func(a, b string) int { return cmp.Compare(major(a), major(b)) }), nil
	}
	return find(missingPostgres, "postgres")
}

// major returns the version in the path of a server.
func major(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// mariadbBinary finds $MARIADBD or the system's server.
func mariadbBinary() (string, error) {
	if path := os.Getenv("MARIADBD"); path != "" {
		return named("MARIADBD", path)
	}
	return find(missingMariaDB, "mariadbd", "mysqld")
}

func named(variable, path string) (string, error) {
	path, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("sqltest: $%s: %w", variable, err)
	}
	return filepath.Abs(path) // servers run in their own folders
}

// find returns the first of the named programs in PATH or in Debian's folders for
// servers.
func find(missing string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
		if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
			return path, nil
		}
	}
	return "", errors.New(missing)
}

// beside finds a program that comes with a server: in the server's folder, in the bin
// beside an sbin, or in PATH.
func beside(server, missing string, names ...string) (string, error) {
	if target, err := filepath.EvalSymlinks(server); err == nil {
		server = target
	}
	dir := filepath.Dir(server)
	for _, dir := range []string{dir, filepath.Join(filepath.Dir(dir), "bin"), filepath.Join(filepath.Dir(dir), "scripts")} {
		for _, name := range names {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	path, err := find(missing, names...)
	if err != nil {
		return "", fmt.Errorf("%w (there is no %s)", err, strings.Join(names, " or "))
	}
	return path, nil
}
