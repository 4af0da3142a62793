package sql

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// A Dialect is the SQL of one kind of database.
type Dialect int

// These are the dialects. MariaDB speaks MySQL.
const (
	Postgres Dialect = iota + 1
	MySQL
	SQLite
)

// A dialect holds everything that differs between databases, as data.
type dialect struct {
	id      Dialect
	drivers []string          // the import path of a driver contains one of these
	tokens  *strings.Replacer // translates the words in braces in statements
	schema  string            // statements, each of which ends with a semicolon
	own     map[op]string     // statements that replace the common ones
	mark    string            // how parameters are written: "$" or "?1" with a number, "?" without

	// How statements are sent.
	prepare          bool // the driver prepares statements only if told to
	insertID         bool // opCreate returns the time by LAST_INSERT_ID
	oneWriter        bool // the database has one writer at a time, and waiting writers ignore their contexts
	oneLogin         bool // opLockInsertLogin and opLockUpdateLogin exist
	evicts           bool // opLockInsertLogin and opLockUpdateLogin also enforce a limit, by removing sessions
	sweepsInTwoSteps bool // a sweep uses one statement to pick rows, and one to remove them
	resumesSweep     bool // a sweep begins where the last one ended

	code      func(err error) string // the code of a driver's error, without looking at wrapped errors
	duplicate []string               // codes: the row exists already
	transient []string               // codes: nothing was done, and the next try may work
	full      []string               // codes: the database is full
	missing   []string               // codes: the table does not exist
	emptyLog  string                 // a statement that restarts the log, if a full disk stops the database from doing so
	discreet  bool                   // an error's text repeats nothing that was sent to the database
}

var (
	errDialect = errors.New("sql: Dialect is not set, and the driver of DB is unknown")
	errPrefix  = errors.New("sql: Prefix is not 1 to 32 of a-z, 0-9 and _, optionally after the name of a schema and a dot")
)

// of returns the data of a dialect.
func (d Dialect) of(db *sql.DB) (*dialect, error) {
	all := [...]*dialect{Postgres: &postgres, MySQL: &mysql, SQLite: &sqlite}
	switch {
	case d > 0 && int(d) < len(all):
		return all[d], nil
	case d != 0:
		return nil, fmt.Errorf("sql: Dialect %d is unknown", int(d))
	}
	driver := reflect.TypeOf(db.Driver())
	if driver.Kind() == reflect.Pointer {
		driver = driver.Elem()
	}
	for _, known := range all[1:] {
		for _, path := range known.drivers {
			if strings.Contains(driver.PkgPath(), path) {
				return known, nil
			}
		}
	}
	return nil, errDialect
}

const defaultPrefix = "session_"

// names returns a replacer for the words in braces that depend on the tables' prefix.
func (d *dialect) names(prefix string) (*strings.Replacer, error) {
	if prefix == "" {
		prefix = defaultPrefix
	}
	schema, bare, qualified := strings.Cut(prefix, ".")
	if !qualified {
		schema, bare = "x", prefix
	}
	for _, name := range []string{schema, bare} {
		if name == "" || len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || '0' <= name[0] && name[0] <= '9' {
			return nil, errPrefix
		}
	}
	if qualified && d == &sqlite {
		return nil, errPrefix
	}
	return strings.NewReplacer("{records}", prefix+"records", "{users}", prefix+"users", "{index}", bare), nil
}

// Schema returns the statements that create the tables of a store with this prefix, for
// applications that run their own migrations. [Store.Migrate] runs the same statements. Running
// them again is harmless. Schema needs no database.
func Schema(d Dialect, prefix string) (string, error) {
	if d == 0 {
		return "", errDialect
	}
	own, err := d.of(nil)
	if err != nil {
		return "", err
	}
	names, err := own.names(prefix)
	if err != nil {
		return "", err
	}
	return names.Replace(own.schema), nil
}
