// Package sqlite opens SQLite files for package sql, with modernc.org/sqlite, which needs
// no C compiler. A program that imports it can name a file in its configuration, see
// package config.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"github.com/mist-contrib/session/sql/internal/pool"
)

var (
	errURL       = errors.New("sqlite: the URL is not of the form sqlite:path/to/file or sqlite:/path/to/file, and has no place for a password")
	errMemory    = errors.New("sqlite: a database in memory is not supported: the URL memory: keeps sessions in the process")
	errSetting   = errors.New("sqlite: the URL has a setting that is not synchronous=full or synchronous=normal")
	errDirectory = errors.New("sqlite: the directory of the file does not exist")
	errFile      = errors.New("sqlite: the path is not that of a file")
	errReadOnly  = errors.New("sqlite: nobody may write the file")
)

// Open returns the database of a file. It opens and makes no file: the first use does,
// and only the file's owner may read a new one.
//
// The URL is sqlite:path or sqlite:/path, with '?' and '%' in a path percent-encoded.
// sqlite:///path is the same as sqlite:/path. The file must be on a disk of this machine.
// Several processes may use it.
//
// One setting exists: synchronous. Unset, or full: what was acknowledged survives a power
// cut. With normal, a power cut may take back the last moments, so a session that was
// removed may live again; a crash of the process takes back nothing.
//
// No error of Open contains a part of the URL.
func Open(rawURL string) (*sql.DB, error) {
	path, synchronous, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return nil, errDirectory
		}
	case err != nil:
		return nil, reason(err)
	case !info.Mode().IsRegular():
		return nil, errFile
	case info.Mode().Perm()&0o222 == 0:
		return nil, errReadOnly
	}
	c, err := sqlite.NewConnector(dsn(path, synchronous))
	if err != nil {
		return nil, errURL
	}
	db := sql.OpenDB(&connector{Connector: c, path: path})
	// Reads wait for the processor only, and one connection writes.
	n := max(4, runtime.GOMAXPROCS(0)+1)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// parse takes a URL apart.
func parse(rawURL string) (path, synchronous string, err error) {
	scheme, rest, _ := strings.Cut(rawURL, ":")
	if !strings.EqualFold(scheme, "sqlite") {
		return "", "", errURL
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if rest = after; !strings.HasPrefix(rest, "/") {
			return "", "", errURL // a host, or a path that begins with one slash too many
		}
	}
	rest, rawQuery, _ := strings.Cut(rest, "?")
	path, err = url.PathUnescape(rest)
	if err != nil || path == "" || strings.ContainsAny(path, "\x00#") {
		return "", "", errURL
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", "", errURL
	}
	if strings.HasPrefix(path, ":memory:") || query.Get("mode") == "memory" {
		return "", "", errMemory
	}
	synchronous = "full"
	for key, values := range query {
		value := strings.ToLower(values[0])
		if key != "synchronous" || len(values) != 1 || value != "full" && value != "normal" {
			return "", "", errSetting
		}
		synchronous = value
	}
	return path, synchronous, nil
}

// dsn is what the driver reads.
func dsn(path, synchronous string) string {
	pragmas := []string{
		"busy_timeout(100)", // first: the others may have to wait
		"journal_mode(wal)",
		"synchronous(" + synchronous + ")",
		"temp_store(memory)",
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	// SQLite takes any path that begins with a slash; others it would take for a host.
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode()
}

// A connector makes the file before the first connection, since SQLite would let
// everybody read it.
type connector struct {
	driver.Connector

	path string
}

// making is held while a file is made. A process that closes a file loses its locks on
// it, those of other connections too, so no connection may be opened meanwhile.
//
//nolint:gochecknoglobals // such locks belong to the process
var making sync.Mutex

// Connect makes a connection. Its statements do not wait for another process: the store
// repeats them, with the time after the wait.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.make(); err != nil {
		return nil, err
	}
	return pool.Connect(ctx, c.Connector, "PRAGMA busy_timeout = 0")
}

func (c *connector) make() error {
	making.Lock()
	defer making.Unlock()
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return reason(err)
	}
	return f.Close()
}

// reason is an error without the path that it is about.
func reason(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return errors.New("sqlite: " + err.Error())
}
