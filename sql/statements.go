package sql

import (
	"database/sql"
	"strconv"
	"strings"
	"sync/atomic"
)

// An op names a statement that the store sends.
type op int

const (
	opLoad          op = iota // loads the record of an id, and the time
	opLock                    // the same, and locks the record until the transaction ends
	opCreate                  // creates a session without a user; returns the time
	opChange                  // stores secrets and values, if no other call has changed them
	opRemoveExpired           // removes an expired record
	opRemove                  // removes a record
	opRefresh                 // prolongs the idle deadline
	opNow                     // returns the time

	opList   // lists the live sessions of a user
	opRevoke // stores the time of a revocation, and changes the user's slot
	opEnd    // removes the live sessions of a user

	opLoginState      // loads everything that a login without a limit has to know
	opLoginStateAll   // the same, and the sessions of the user
	opLockSlot        // locks a slot until the transaction ends
	opInsertLogin     // creates a session with a user
	opUpdateLogin     // logs in an existing record
	opEvict           // removes the sessions of a user up to a certain login
	opLockInsertLogin // opLockSlot and opInsertLogin in one, see dialect.oneLogin
	opLockUpdateLogin // opLockSlot and opUpdateLogin in one

	opSweep // removes or picks some expired records
	opSweepPicked
	opSweepUsers // removes or picks some outdated rows of users
	opSweepPickedUsers
	opMigrate

	opCount
)

// These are parts of the statements.
const (
	alive = "seen + idle > {now} AND ends > {now}"

	// due leaves room for the refreshes of one more idle timeout. Those refreshes do not change
	// the index.
	prolong = "due = CASE WHEN due > {min}({max}(seen, {now}) + idle, ends) THEN due ELSE {min}({max}(seen, {now}) + idle + idle, ends) END, " +
		"seen = {max}({later}, {now})"

	// loginColumns lists the columns that a login stores. loginAssignments stores them, from $1 to $16.
	loginColumns = "id, incarnation, version, secret, created, seen, idle, ends, due, account, level, login_at, persistent, user_agent, address, data"

	loginAssignments = "id = $1, incarnation = $2, version = $3, secret = $4, old_secrets = NULL, created = $5, seen = $6, idle = $7, ends = $8, due = $9, " +
		"account = $10, level = $11, login_at = $12, persistent = $13, user_agent = $14, address = $15, data = $16"

	// hasEnded tells a sweep that a session has ended. due may be microseconds early, because a
	// refresh reads the time more than once.
	hasEnded = "(ends <= {now} OR seen <= {now} - idle)"

	pick      = "SELECT id FROM {records} WHERE due <= {stamp} AND " + hasEnded + " ORDER BY due LIMIT $1{skip}"
	pickUsers = "SELECT name FROM {users} WHERE until <= {stamp} ORDER BY until LIMIT $1{skip}"

	// remembered is how long the store keeps a user's row after a revocation. A login that began
	// before the revocation is then older than session.BeganLimit. A slot is kept forever.
	remembered = "7200000000"
	forever    = "4000000000000000000"
)

// loginStateText is the text of opLoginState.
//
//nolint:gochecknoglobals // never changes
var loginStateText = "SELECT {now}, s.version, u.revoked, r." + strings.ReplaceAll(columns, ", ", ", r.") +
	" FROM (SELECT 1 AS one) o LEFT JOIN {users} s ON s.name = {none} AND s.slot = $4 LEFT JOIN {users} u ON u.name = $1 AND u.slot = 0 LEFT JOIN {records} r ON r.id IN ($2, $3)"

// common holds the statements that all dialects share. $1 and so on are parameters. Each
// dialect translates the words in braces:
//
//	{now}       the time when the database evaluates it, in microseconds since 1970
//	{stamp}     the time when the statement began
//	{max} {min} functions of two numbers
//	{later}     seen, plus one if the database does not count an unchanged row as changed
//	{lock}      locks the rows that a SELECT reads until the transaction ends
//	{skip}      the same, but skips rows that another transaction has locked
//	{none}      the name in the rows of slots, which no user has
//	{records} {users} {index}  names, see Store.Prefix
//
//nolint:gochecknoglobals // never changes
var common = [opCount]struct{ name, text string }{
	opLoad: {"load", "SELECT {now}, " + columns + " FROM {records} WHERE id = $1"},
	opLock: {"lock", "SELECT {now}, " + columns + " FROM {records} WHERE id = $1{lock}"},
	opCreate: {"create", "INSERT INTO {records} (id, incarnation, version, secret, created, seen, idle, ends, due, level, login_at, persistent) " +
		"VALUES ($1, $2, 0, $3, {stamp}, {stamp}, $4, {stamp} + $5, {stamp} + $4, 0, 0, 0) ON CONFLICT DO NOTHING RETURNING created"},
	opChange:        {"change", "UPDATE {records} SET version = version + 1, secret = $4, old_secrets = $5, data = $6 WHERE id = $1 AND incarnation = $2 AND version = $3 AND " + alive},
	opRemoveExpired: {"remove expired", "DELETE FROM {records} WHERE id = $1 AND NOT (" + alive + ")"},
	opRemove:        {"remove", "DELETE FROM {records} WHERE id = $1"},
	opRefresh:       {"refresh", "UPDATE {records} SET " + prolong + " WHERE id = $1 AND " + alive},
	opNow:           {"now", "SELECT {now}"},

	opList: {"list", "SELECT {now}, " + listed + " FROM {records} WHERE account = $1 AND " + alive + " ORDER BY seen DESC, id"},
	// The slot comes first. The statement then reads the time after every login has released the
	// slot.
	opRevoke: {"revoke", "INSERT INTO {users} AS u (name, slot, version, revoked, until) VALUES ({none}, $2, {now}, 0, " + forever + "), ($1, 0, 0, {now}, {now} + " + remembered + ") " +
		"ON CONFLICT (name, slot) DO UPDATE SET version = u.version + 1, revoked = {max}(u.revoked, {now}), until = {max}(u.until, {now} + " + remembered + ")"},
	opEnd: {"end", "DELETE FROM {records} WHERE account = $1 AND " + alive},

	opLoginState:    {"login", loginStateText},
	opLoginStateAll: {"login", loginStateText + " OR r.account = $1"},
	opLockSlot: {"login", "INSERT INTO {users} AS u (name, slot, version, revoked, until) VALUES ({none}, $1, {now}, 0, " + forever + ") " +
		"ON CONFLICT (name, slot) DO UPDATE SET version = u.version + 1"},
	opInsertLogin: {"login", "INSERT INTO {records} (" + loginColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"},
	opUpdateLogin: {"login", "UPDATE {records} SET " + loginAssignments + " WHERE id = $17 AND incarnation = $18 AND version = $19 AND " + alive},
	opEvict:       {"login", "DELETE FROM {records} WHERE account = $1 AND (login_at < $2 OR login_at = $2 AND id <= $3) AND id <> $4"},

	opLockInsertLogin: {"login", ""},
	opLockUpdateLogin: {"login", ""},

	opSweep:            {"sweep", "DELETE FROM {records} WHERE id IN (" + pick + ")"},
	opSweepPicked:      {"sweep", "DELETE FROM {records} WHERE id IN (?"},
	opSweepUsers:       {"sweep", "DELETE FROM {users} WHERE name IN (" + pickUsers + ")"},
	opSweepPickedUsers: {"sweep", "DELETE FROM {users} WHERE name IN (?"},
	opMigrate:          {"migrate", ""},
}

// A statement is a statement in the dialect of the database.
type statement struct {
	text  string
	order []int // the order of the arguments, if parameters have no numbers
	clock bool  // the time is an additional argument
	stmt  atomic.Pointer[sql.Stmt]
}

// numbered splits a text at its parameters. It returns the highest number, all numbers and the
// pieces.
func numbered(text string) (most int, each []int, pieces []string) {
	for {
		before, rest, ok := strings.Cut(text, "$")
		pieces = append(pieces, before)
		if !ok {
			return most, each, pieces
		}
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		n, _ := strconv.Atoi(rest[:digits])
		most, each, text = max(most, n), append(each, n), rest[digits:]
	}
}

// translate translates the statements into the dialect of a store.
func (st *Store) translate(d *dialect, names *strings.Replacer) {
	for o := range opCount {
		text := common[o].text
		if own, ok := d.own[o]; ok {
			text = own
		}
		text = names.Replace(d.tokens.Replace(text))
		most, _, _ := numbered(text)
		s := &st.statements[o]
		if s.clock = strings.Contains(text, "{time}"); s.clock {
			text = strings.ReplaceAll(text, "{time}", "$"+strconv.Itoa(most+1))
		}
		if d.mark == "$" {
			s.text = text
			continue
		}
		_, each, pieces := numbered(text)
		var out strings.Builder
		for i, piece := range pieces {
			out.WriteString(piece)
			if i == len(each) {
				break
			}
			out.WriteString("?")
			if d.mark == "?1" {
				out.WriteString(strconv.Itoa(each[i]))
			} else {
				s.order = append(s.order, each[i]-1)
			}
		}
		s.text = out.String()
	}
}

// args puts the arguments of a statement into the order of its parameters.
func (s *statement) args(args []any) []any {
	if s.clock {
		args = append(args, clock{})
	}
	if s.order == nil {
		return args
	}
	ordered := make([]any, len(s.order))
	for i, n := range s.order {
		ordered[i] = args[n]
	}
	return ordered
}
