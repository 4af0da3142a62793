package sql

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// A Dialect is what a database speaks.
type Dialect int

// The dialects. MariaDB speaks MySQL.
const (
	Postgres Dialect = iota + 1
	MySQL
	SQLite
)

// A dialect is all that differs between databases, as data.
type dialect struct {
	id      Dialect
	drivers []string          // what the import path of a driver has in it
	tokens  *strings.Replacer // the words in braces that the statements are written in
	schema  string            // statements, each ends with a semicolon
	own     map[op]string     // statements, instead of the common ones
	mark    string            // how a parameter is written: "$" or "?1" with its number, "?" without

	// How statements are sent.
	prepare   bool // the driver does not prepare them unless it is told to
	insertID  bool // opCreate returns the time by LAST_INSERT_ID
	oneWriter bool // of several writers the others wait, and do not look at their contexts
	oneLogin  bool // there are opBeginAll and opEnterAll
	evicts    bool // they also keep a limit, and remove the sessions that have to end for it
	picks     bool // sweeping is a statement that picks rows, and one that removes them
	marks     bool // sweeping begins where it has ended before

	code      func(err error) string // of an error of the driver, without what it wraps
	duplicate []string               // codes: there is such a row already
	transient []string               // codes: nothing was done, and it may work the next time
	full      []string               // codes: there is no room
	missing   []string               // codes: there is no such table
	emptyLog  string                 // a statement that lets the log begin anew, where a full disk stops it
	discreet  bool                   // the text of an error repeats nothing of what the database was sent
}

var (
	errDialect = errors.New("sql: Dialect is not set, and the driver of DB is none that is known")
	errPrefix  = errors.New("sql: Prefix is not 1 to 32 of a-z, 0-9 and _, with the name of a schema and a dot before them or not")
)

// of returns the data of a dialect.
func (d Dialect) of(db *sql.DB) (*dialect, error) {
	all := [...]*dialect{Postgres: &postgres, MySQL: &mysql, SQLite: &sqlite}
	switch {
	case d > 0 && int(d) < len(all):
		return all[d], nil
	case d != 0:
		return nil, fmt.Errorf("sql: Dialect %d is none", int(d))
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

// names returns the words in braces that depend on the prefix of the tables.
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

// Schema returns the statements that make the tables of a store with this prefix, for
// those who run migrations themselves. [Store.Migrate] runs the same. Running them again
// does no harm. It needs no database.
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
