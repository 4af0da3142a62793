package sql

import (
	"reflect"
	"strconv"
	"strings"
)

const noTable = "no such table"

// SQLite runs in this process and uses its clock, so the time is a parameter. A transaction
// locks the whole database, so statements lock no rows.
//
//nolint:gochecknoglobals // never changes
var sqlite = dialect{
	id:        SQLite,
	drivers:   []string{"sqlite"},
	mark:      "?1",
	tokens:    strings.NewReplacer("{now}", "{time}", "{stamp}", "{time}", "{max}", "MAX", "{min}", "MIN", "{none}", "x''", "{later}", "seen", "{lock}", "", "{skip}", ""),
	prepare:   true,
	oneWriter: true,
	emptyLog:  "PRAGMA wal_checkpoint", // SQLite does so by itself only after a successful write
	discreet:  true,
	code: func(err error) string {
		// The drivers' errors have a method or a field Code, each with a different type.
		v := reflect.ValueOf(err)
		var n reflect.Value
		if m := v.MethodByName("Code"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
			n = m.Call(nil)[0]
		} else if v = reflect.Indirect(v); v.Kind() == reflect.Struct {
			n = v.FieldByName("Code")
		}
		switch {
		case !n.IsValid():
		case strings.Contains(err.Error(), noTable): // this error has no code of its own
			return noTable
		case n.CanInt():
			return strconv.FormatInt(n.Int()&0xff, 10)
		case n.CanUint():
			return strconv.FormatUint(n.Uint()&0xff, 10)
		}
		return ""
	},
	transient: []string{"5", "6"},
	full:      []string{"13"},
	missing:   []string{noTable},
	duplicate: []string{"19"},
	schema: `CREATE TABLE IF NOT EXISTS {records} (
	id          TEXT    NOT NULL PRIMARY KEY,
	incarnation INTEGER NOT NULL,
	version     INTEGER NOT NULL,
	secret      BLOB    NOT NULL,
	old_secrets BLOB,
	created     INTEGER NOT NULL,
	seen        INTEGER NOT NULL,
	idle        INTEGER NOT NULL,
	ends        INTEGER NOT NULL,
	due         INTEGER NOT NULL,
	account     BLOB,
	level       INTEGER NOT NULL,
	login_at    INTEGER NOT NULL,
	persistent  INTEGER NOT NULL,
	user_agent  BLOB,
	address     BLOB,
	data        BLOB
);
CREATE INDEX IF NOT EXISTS {index}records_account ON {records} (account) WHERE account IS NOT NULL;
CREATE INDEX IF NOT EXISTS {index}records_due ON {records} (due);
CREATE TABLE IF NOT EXISTS {users} (
	name    BLOB    NOT NULL,
	slot    INTEGER NOT NULL,
	version INTEGER NOT NULL,
	revoked INTEGER NOT NULL,
	until   INTEGER NOT NULL,
	PRIMARY KEY (name, slot)
);
CREATE INDEX IF NOT EXISTS {index}users_until ON {users} (until);
`,
}
