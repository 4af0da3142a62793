package sql

import (
	"reflect"
	"strconv"
	"strings"
)

// NOW is the time at which a statement began. The statement may have waited for a lock since
// then, so {now} adds how long it has run. Neither depends on a time zone.
//
//nolint:gochecknoglobals // never changes
var mysql = dialect{
	id:      MySQL,
	drivers: []string{"go-sql-driver/mysql"},
	mark:    "?",
	tokens: strings.NewReplacer(
		"{now}", "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) + TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)))",
		"{stamp}", "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
		"{max}", "GREATEST", "{min}", "LEAST", "{none}", "''", "{later}", "seen + 1", "{lock}", " FOR UPDATE", "{skip}", " FOR UPDATE SKIP LOCKED",
	),
	prepare:          true,
	insertID:         true,
	oneLogin:         true,
	sweepsInTwoSteps: true,
	own: map[op]string{
		opCreate: "INSERT INTO {records} (id, incarnation, version, secret, created, seen, idle, ends, due, level, login_at, persistent) " +
			"VALUES ($1, $2, 0, $3, LAST_INSERT_ID({stamp}), {stamp}, $4, {stamp} + $5, {stamp} + $4, 0, 0, 0)",
		opRevoke: "INSERT INTO {users} (name, slot, version, revoked, until) VALUES ({none}, $2, {now}, 0, " + forever + "), ($1, 0, 0, {now}, {now} + " + remembered + ") " +
			"ON DUPLICATE KEY UPDATE version = version + 1, revoked = GREATEST(revoked, {now}), until = GREATEST(until, {now} + " + remembered + ")",
		opLockSlot: "INSERT INTO {users} (name, slot, version, revoked, until) VALUES ({none}, $1, {now}, 0, " + forever + ") ON DUPLICATE KEY UPDATE version = version + 1",
		// MySQL does not notice that a client has given up. The deadline stops the statement from
		// logging the user in later, when a lock is released. FOR UPDATE makes a revocation wait for
		// the slot until the session exists. The revocation then ends the session.
		opLockInsertLogin: "INSERT INTO {records} (" + loginColumns + ") SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 " +
			"FROM {users} WHERE name = {none} AND slot = $17 AND version = $18 AND {now} < $19 FOR UPDATE",
		opLockUpdateLogin: "UPDATE {users} u JOIN {records} r ON r.id = $17 SET u.version = u.version + 1, r." + strings.ReplaceAll(loginAssignments, ", ", ", r.") +
			" WHERE u.name = {none} AND u.slot = $20 AND u.version = $21 AND r.incarnation = $18 AND r.version = $19 AND {now} < $22 AND " + alive,
		opSweep:      pick,
		opSweepUsers: pickUsers,
	},
	code: func(err error) string {
		// *mysql.MySQLError has no method that returns the number.
		if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct {
			if n := v.FieldByName("Number"); n.IsValid() && n.CanUint() {
				return strconv.FormatUint(n.Uint(), 10)
			}
		}
		return ""
	},
	duplicate: []string{"1062"},
	transient: []string{"1020", "1205", "1213"},
	full:      []string{"1021", "1114"},
	missing:   []string{"1146"},
	schema: `CREATE TABLE IF NOT EXISTS {records} (
	id          VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
	incarnation BIGINT   NOT NULL,
	version     BIGINT   NOT NULL,
	secret      BINARY(32) NOT NULL,
	old_secrets BLOB,
	created     BIGINT   NOT NULL,
	seen        BIGINT   NOT NULL,
	idle        BIGINT   NOT NULL,
	ends        BIGINT   NOT NULL,
	due         BIGINT   NOT NULL,
	account     VARBINARY(256),
	level       SMALLINT NOT NULL,
	login_at    BIGINT   NOT NULL,
	persistent  SMALLINT NOT NULL,
	user_agent  VARBINARY(256),
	address     VARBINARY(64),
	data        LONGBLOB,
	INDEX {index}records_account (account),
	INDEX {index}records_due (due)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {users} (
	name    VARBINARY(256) NOT NULL,
	slot    SMALLINT NOT NULL,
	version BIGINT   NOT NULL,
	revoked BIGINT   NOT NULL,
	until   BIGINT   NOT NULL,
	PRIMARY KEY (name, slot),
	INDEX {index}users_until (until)
) ENGINE = InnoDB;
`,
}
