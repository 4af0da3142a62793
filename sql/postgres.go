package sql

import (
	"strconv"
	"strings"
)

// postgres reads the clock at each {now}, because a statement may have waited for a lock in
// between.
//
//nolint:gochecknoglobals // never changes
var postgres = dialect{
	id:      Postgres,
	drivers: []string{"/pgx/", "lib/pq"},
	mark:    "$",
	tokens: strings.NewReplacer(
		"{now}", "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
		"{stamp}", "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)",
		"{max}", "GREATEST", "{min}", "LEAST", "{none}", "''", "{later}", "seen", "{lock}", " FOR UPDATE", "{skip}", " FOR UPDATE SKIP LOCKED",
	),
	oneLogin:     true,
	evicts:       true,
	resumesSweep: true,
	own: map[op]string{
		opChange: "UPDATE {records} SET version = version + 1, secret = $4, old_secrets = $5, data = $6 FROM " + locked("id = $1", "NO KEY UPDATE") +
			" WHERE id = locked AND incarnation = $2 AND version = $3 AND " + stillAlive,
		opRefresh:     "UPDATE {records} SET " + prolong + " FROM " + locked("id = $1", "NO KEY UPDATE") + " WHERE id = locked AND " + stillAlive,
		opEnd:         "DELETE FROM {records} USING " + locked("account = $1", "UPDATE") + " WHERE id = locked AND " + stillAlive,
		opUpdateLogin: "UPDATE {records} SET " + loginAssignments + " FROM " + locked("id = $17", "UPDATE") + " WHERE id = locked AND incarnation = $18 AND version = $19 AND " + stillAlive,

		// The statement returns where the next sweep has to begin. The index keeps the entries of
		// removed rows until the next vacuum, and reading over a million of them takes milliseconds.
		opSweep: "WITH d AS (DELETE FROM {records} WHERE id IN (SELECT id FROM {records} WHERE due >= $2 AND due <= {stamp} AND " + hasEnded + " ORDER BY due LIMIT $1{skip}) RETURNING due) " +
			"SELECT count(*), CASE WHEN count(*) < $1 THEN {stamp} ELSE max(due) END FROM d",

		opLockInsertLogin: postgresLogin("INSERT INTO {records} ("+loginColumns+") SELECT CAST($1 AS text), CAST($2 AS bigint), CAST($3 AS bigint), CAST($4 AS bytea), CAST($5 AS bigint), CAST($6 AS bigint), "+
			"CAST($7 AS bigint), CAST($8 AS bigint), CAST($9 AS bigint), CAST($10 AS bytea), CAST($11 AS smallint), CAST($12 AS bigint), CAST($13 AS smallint), "+
			"CAST($14 AS bytea), CAST($15 AS bytea), CAST($16 AS bytea) FROM u", 16),
		opLockUpdateLogin: postgresLogin("UPDATE {records} SET "+loginAssignments+" FROM u, "+locked("id = $17", "UPDATE")+" WHERE id = locked AND incarnation = $18 AND version = $19 AND "+stillAlive, 19),
	},
	code: func(err error) string {
		if answer, ok := err.(interface{ SQLState() string }); ok { // of pgx and lib/pq
			return answer.SQLState()
		}
		return ""
	},
	duplicate: []string{"23505"},
	transient: []string{"40001", "40P01"},
	full:      []string{"53100"},
	missing:   []string{"42P01"},
	schema: `CREATE TABLE IF NOT EXISTS {records} (
	id          varchar(128) COLLATE "C" PRIMARY KEY,
	incarnation bigint   NOT NULL,
	version     bigint   NOT NULL,
	secret      bytea    NOT NULL,
	old_secrets bytea,
	created     bigint   NOT NULL,
	seen        bigint   NOT NULL,
	idle        bigint   NOT NULL,
	ends        bigint   NOT NULL,
	due         bigint   NOT NULL,
	account     bytea,
	level       smallint NOT NULL,
	login_at    bigint   NOT NULL,
	persistent  smallint NOT NULL,
	user_agent  bytea,
	address     bytea,
	data        bytea
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX IF NOT EXISTS {index}records_account ON {records} (account) WHERE account IS NOT NULL;
CREATE INDEX IF NOT EXISTS {index}records_due ON {records} (due);
CREATE TABLE IF NOT EXISTS {users} (
	name    bytea    NOT NULL,
	slot    smallint NOT NULL,
	version bigint   NOT NULL,
	revoked bigint   NOT NULL,
	until   bigint   NOT NULL,
	PRIMARY KEY (name, slot)
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS {index}users_until ON {users} (until);
`,
}

// locked returns a subquery that locks rows for a statement which writes them. It returns their
// deadlines as they are after the wait. The statement itself sees the rows as they were before
// the wait. It reads a locked row again only if another transaction has changed it.
func locked(where, lock string) string {
	return "(SELECT id AS locked, LEAST(seen + idle, ends) AS deadline FROM {records} WHERE " + where + " FOR " + lock + ") l"
}

// stillAlive is alive for a row that locked has locked. The CASE stops every plan from evaluating it
// before the join with that subquery.
const stillAlive = "CASE WHEN id = locked THEN deadline > {now} END"

// postgresLogin returns a login in one statement. If the slot still has the version that was
// read, no other call holds it, and store stores the record. Then the statement removes the
// sessions that have to end. The parameters after those of store are the slot, its version (0
// if there was no row), when the caller gives up, the time of the last login that has to end,
// and its id.
func postgresLogin(store string, parameters int) string {
	after := func(n int) string { return "$" + strconv.Itoa(parameters+n) }
	return strings.NewReplacer("{store}", store, "{slot}", after(1), "{version}", after(2), "{deadline}", after(3), "{at}", after(4), "{id}", after(5)).Replace(
		"WITH u AS (INSERT INTO {users} AS o (name, slot, version, revoked, until) VALUES ({none}, {slot}, {now}, 0, " + forever + ") ON CONFLICT (name, slot) DO UPDATE SET " +
			"version = o.version + 1 WHERE o.version = {version} AND {now} < {deadline} RETURNING 1), " +
			"s AS ({store} RETURNING 1), " +
			"e AS (DELETE FROM {records} WHERE account = $10 AND (login_at < {at} OR login_at = {at} AND id <= {id}) AND id <> $1 AND EXISTS (SELECT 1 FROM s)) " +
			"SELECT 1 FROM s")
}
