package sql

import (
	"database/sql"
	"strconv"
	"strings"
	"sync/atomic"
)

// An op is a statement that the store sends.
type op int

const (
	opLoad    op = iota // the record of an id, and the time
	opLock              // the same, until the end of the transaction
	opCreate            // begins a session without a user; returns the time
	opChange            // secrets and values, if nobody else has changed them
	opBury              // removes a record that has expired
	opRemove            // removes a record
	opRefresh           // makes the idle deadline later
	opNow               // tells the time

	opList   // the live sessions of a user
	opRevoke // notes the time of a revocation, and takes the user's slot
	opEnd    // removes the live sessions of a user

	opVisitor  // all that a login has to know, where there is no limit
	opVisitors // the same, with the sessions of the user
	opClaim    // takes a slot, until the end of the transaction
	opBegin    // begins a session with a user
	opEnter    // logs in a record that exists
	opEvict    // removes the sessions of a user up to a login
	opBeginAll // claim and begin in one, where the dialect can, see dialect.oneLogin
	opEnterAll // claim and enter in one

	opSweep // removes some records that have expired, or picks them
	opSweepPicked
	opSweepUsers // removes some users of whom nothing needs to be known, or picks them
	opSweepPickedUsers
	opMigrate

	opCount
)

// The parts of the statements.
const (
	alive = "seen + idle > {now} AND ends > {now}"

	// The new upper bound of the deadline leaves room for the refreshes of one more idle
	// timeout, which then do not touch the index.
	prolong = "due = CASE WHEN due > {min}({max}(seen, {now}) + idle, ends) THEN due ELSE {min}({max}(seen, {now}) + idle + idle, ends) END, " +
		"seen = {max}({later}, {now})"

	// entered are the columns that a login stores, and assigned stores them; $1 to $16.
	entered = "id, incarnation, version, secret, created, seen, idle, ends, due, account, level, login_at, persistent, user_agent, address, data"

	assigned = "id = $1, incarnation = $2, version = $3, secret = $4, old_secrets = NULL, created = $5, seen = $6, idle = $7, ends = $8, due = $9, " +
		"account = $10, level = $11, login_at = $12, persistent = $13, user_agent = $14, address = $15, data = $16"

	// over tells a sweep that a session has ended. A refresh reads the time more than once,
	// so due can be microseconds early.
	over = "(ends <= {now} OR seen <= {now} - idle)"

	pick      = "SELECT id FROM {records} WHERE due <= {stamp} AND " + over + " ORDER BY due LIMIT $1{skip}"
	pickUsers = "SELECT name FROM {users} WHERE until <= {stamp} ORDER BY until LIMIT $1{skip}"

	// remembered is how long a user is kept after a revocation: who began before that has
	// begun longer than session.BeganLimit ago. A slot is kept forever.
	remembered = "7200000000"
	forever    = "4000000000000000000"
)

// visitor is opVisitor.
//
//nolint:gochecknoglobals // never changes
var visitor = "SELECT {now}, s.version, u.revoked, r." + strings.ReplaceAll(columns, ", ", ", r.") +
	" FROM (SELECT 1 AS one) o LEFT JOIN {users} s ON s.name = {none} AND s.slot = $4 LEFT JOIN {users} u ON u.name = $1 AND u.slot = 0 LEFT JOIN {records} r ON r.id IN ($2, $3)"

// common are the statements, in the words of no dialect. $1 and on are parameters, words
// in braces have a translation in each dialect:
//
//	{now}       the time when it is read, in microseconds since 1970
//	{stamp}     the time when the statement began
//	{max} {min} functions of two numbers
//	{later}     seen, or a little more, where a row that stays as it is does not count as changed
//	{lock}      keeps the rows that a SELECT reads for the transaction
//	{skip}      the same, and leaves out those that somebody else keeps
//	{none}      the name that no user has, but slots do
//	{records} {users} {index}  names, see Store.Prefix
//
//nolint:gochecknoglobals // never changes
var common = [opCount]struct{ name, text string }{
	opLoad: {"load", "SELECT {now}, " + columns + " FROM {records} WHERE id = $1"},
	opLock: {"lock", "SELECT {now}, " + columns + " FROM {records} WHERE id = $1{lock}"},
	opCreate: {"create", "INSERT INTO {records} (id, incarnation, version, secret, created, seen, idle, ends, due, level, login_at, persistent) " +
		"VALUES ($1, $2, 0, $3, {stamp}, {stamp}, $4, {stamp} + $5, {stamp} + $4, 0, 0, 0) ON CONFLICT DO NOTHING RETURNING created"},
	opChange:  {"change", "UPDATE {records} SET version = version + 1, secret = $4, old_secrets = $5, data = $6 WHERE id = $1 AND incarnation = $2 AND version = $3 AND " + alive},
	opBury:    {"bury", "DELETE FROM {records} WHERE id = $1 AND NOT (" + alive + ")"},
	opRemove:  {"remove", "DELETE FROM {records} WHERE id = $1"},
	opRefresh: {"refresh", "UPDATE {records} SET " + prolong + " WHERE id = $1 AND " + alive},
	opNow:     {"now", "SELECT {now}"},

	opList: {"list", "SELECT {now}, " + listed + " FROM {records} WHERE account = $1 AND " + alive + " ORDER BY seen DESC, id"},
	// The slot comes first, so that the time is read when no login has it any more.
	opRevoke: {"revoke", "INSERT INTO {users} AS u (name, slot, version, revoked, until) VALUES ({none}, $2, {now}, 0, " + forever + "), ($1, 0, 0, {now}, {now} + " + remembered + ") " +
		"ON CONFLICT (name, slot) DO UPDATE SET version = u.version + 1, revoked = {max}(u.revoked, {now}), until = {max}(u.until, {now} + " + remembered + ")"},
	opEnd: {"end", "DELETE FROM {records} WHERE account = $1 AND " + alive},

	opVisitor:  {"login", visitor},
	opVisitors: {"login", visitor + " OR r.account = $1"},
	opClaim: {"login", "INSERT INTO {users} AS u (name, slot, version, revoked, until) VALUES ({none}, $1, {now}, 0, " + forever + ") " +
		"ON CONFLICT (name, slot) DO UPDATE SET version = u.version + 1"},
	opBegin: {"login", "INSERT INTO {records} (" + entered + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"},
	opEnter: {"login", "UPDATE {records} SET " + assigned + " WHERE id = $17 AND incarnation = $18 AND version = $19 AND " + alive},
	opEvict: {"login", "DELETE FROM {records} WHERE account = $1 AND (login_at < $2 OR login_at = $2 AND id <= $3) AND id <> $4"},

	opBeginAll: {"login", ""},
	opEnterAll: {"login", ""},

	opSweep:            {"sweep", "DELETE FROM {records} WHERE id IN (" + pick + ")"},
	opSweepPicked:      {"sweep", "DELETE FROM {records} WHERE id IN (?"},
	opSweepUsers:       {"sweep", "DELETE FROM {users} WHERE name IN (" + pickUsers + ")"},
	opSweepPickedUsers: {"sweep", "DELETE FROM {users} WHERE name IN (?"},
	opMigrate:          {"migrate", ""},
}

// A statement is one of them, in the words of the database.
type statement struct {
	text  string
	order []int // of the arguments, where parameters have no numbers
	clock bool  // one argument more: the time
	stmt  atomic.Pointer[sql.Stmt]
}

// numbered finds the parameters of a text.
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

// translate makes the statements of a store.
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
