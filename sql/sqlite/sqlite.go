// Package sqlite opens SQLite files for package sql, with modernc.org/sqlite, which needs no C
// compiler. A program that imports it can use the URL of a file in its configuration, see
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
	errFile      = errors.New("sqlite: the path does not name a file")
	errReadOnly  = errors.New("sqlite: the file is not writable")
)

// Open returns the database of a file. It neither opens nor creates the file: the first use
// does. Only the owner may read a file that it creates.
//
// The URL is sqlite:path or sqlite:/path, with '?' and '%' in a path percent-encoded.
// sqlite:///path is the same as sqlite:/path. The file must be on a disk of this machine.
// Several processes may use it.
//
// The only setting is synchronous. With full, or unset, every acknowledged write survives a
// power cut. With normal, a power cut may undo the last moments, so a removed session may come
// back; a crash of the process undoes nothing.
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
	// Reads wait only for the processor, and only one connection writes.
	n := max(4, runtime.GOMAXPROCS(0)+1)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// parse splits a URL.
func parse(rawURL string) (path, synchronous string, err error) {
	scheme, rest, _ := strings.Cut(rawURL, ":")
	if !strings.EqualFold(scheme, "sqlite") {
		return "", "", errURL
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if rest = after; !strings.HasPrefix(rest, "/") {
			return "", "", errURL // a host, or a path with one slash too many
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

// dsn returns the data source name for the driver.
func dsn(path, synchronous string) string {
	pragmas := []string{
		"busy_timeout(100)", // first, because the others may have to wait
		"journal_mode(wal)",
		"synchronous(" + synchronous + ")",
		"temp_store(memory)",
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	// SQLite accepts any path that begins with a slash. It takes another path for a host.
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode()
}

// A connector creates the file before the first connection, because everybody could read a file
// that SQLite creates.
type connector struct {
	driver.Connector

	path string
}

// making is held while a file is created. A process that closes a file loses all its locks on
// that file, including those of other connections. So no connection may be opened meanwhile.
//
//nolint:gochecknoglobals // these locks belong to the process
var making sync.Mutex

// Connect makes a connection. Its statements do not wait for other processes. Instead the store
// repeats them, and reads the time after the wait.
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

// reason returns an error without the path in it.
func reason(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return errors.New("sqlite: " + err.Error())
}
