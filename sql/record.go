package sql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// A record is a row of the table of records. Times are microseconds since 1970 by the
// database's clock.
type record struct {
	id          string
	incarnation int64 // random; stops writes to a later session with the same id
	version     int64 // counts the changes of secrets and data
	secrets     token.Secrets
	created     int64
	seen        int64
	idle        int64
	ends        int64        // the absolute deadline
	account     *account     // nil: anonymous
	data        values.Block // empty if a listing loaded the record
}

// An account describes the user of a session and the last login.
type account struct {
	user               string
	level              session.Level
	at                 int64 // the time of the last login
	persistent         bool
	userAgent, address string
}

// columns lists the columns of a record, in the order of dest.
const columns = "id, incarnation, version, secret, old_secrets, created, seen, idle, ends, " +
	"account, level, login_at, persistent, user_agent, address, data"

// listed lists the same columns, without the values.
var listed = strings.TrimSuffix(columns, "data") + "NULL AS data" //nolint:gochecknoglobals // never changes

// errRecord means that this package did not write the row. Such a row authenticates nobody.
var errRecord = errors.New("sql: record cannot be read")

func newIncarnation() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

// idleDeadline returns when the session ends without a refresh.
func (r *record) idleDeadline() int64 { return min(r.seen+r.idle, r.ends) }

// expired returns the error for the earlier deadline of the record if it has passed, or nil.
func (r *record) expired(now int64) error {
	switch {
	case now < r.idleDeadline():
		return nil
	case r.seen+r.idle < r.ends:
		return session.ErrExpiredIdle
	}
	return session.ErrExpiredAbsolute
}

// user returns the user of the session. Empty: anonymous.
func (r *record) user() string {
	if r.account == nil {
		return ""
	}
	return r.account.user
}

// info describes the session. Its token ends at ends; zero: with the session.
func (r *record) info(ends int64) session.Info {
	rotated := r.created
	if a := r.account; a != nil {
		rotated = a.at
	}
	if at, ok := r.secrets.Replaced(); ok {
		rotated = at
	}
	info := session.Info{
		ID:               r.id,
		CreatedAt:        time.UnixMicro(r.created),
		LastSeen:         time.UnixMicro(r.seen),
		IdleDeadline:     time.UnixMicro(r.idleDeadline()),
		AbsoluteDeadline: time.UnixMicro(r.ends),
		RotatedAt:        time.UnixMicro(rotated),
	}
	if info.Bound = r.secrets.Device() != ""; ends != 0 {
		info.ProvedUntil = time.UnixMicro(ends)
	}
	if a := r.account; a != nil {
		info.User, info.Level, info.AuthenticatedAt = a.user, a.level, time.UnixMicro(a.at)
		info.Persistent, info.Address, info.UserAgent = a.persistent, a.address, a.userAgent
	}
	return info
}

// A number and a text scan columns in any form that a driver returns. NULL is zero. If the
// schema forbids NULL, only a join without a match returns it.
type (
	number int64
	text   string
)

func (n *number) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n = 0
	case int64:
		*n = number(v)
	case bool:
		*n = 0
		if v {
			*n = 1
		}
	case []byte:
		return n.parse(string(v))
	case string:
		return n.parse(v)
	default:
		return errRecord
	}
	return nil
}

func (n *number) parse(s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return errRecord
	}
	*n = number(v)
	return nil
}

func (t *text) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = ""
	case []byte:
		*t = text(v)
	case string:
		*t = text(strings.Clone(v))
	default:
		return errRecord
	}
	return nil
}

// A row is a record before its columns are checked.
type row struct {
	id, secret, old, account, userAgent, address, data                          text
	incarnation, version, created, seen, idle, ends, level, loginAt, persistent number
	at                                                                          number // the time of the query
}

// dest returns the destinations of a scan: the time, then those in more, then the columns of a
// record.
func (w *row) dest(more ...any) []any {
	dest := append(make([]any, 0, 19), &w.at)
	return append(append(dest, more...), &w.id, &w.incarnation, &w.version, &w.secret, &w.old, &w.created, &w.seen, &w.idle, &w.ends,
		&w.account, &w.level, &w.loginAt, &w.persistent, &w.userAgent, &w.address, &w.data)
}

// maxTime is larger than every valid time and timeout, and far from an overflow.
const maxTime = 1 << 61

// record converts a row. It returns errRecord for anything that is not exactly a record.
func (w *row) record() (*record, error) {
	data, ok := values.ReadBlock(string(w.data))
	r := &record{
		id: string(w.id), incarnation: int64(w.incarnation), version: int64(w.version), created: int64(w.created),
		seen: int64(w.seen), idle: int64(w.idle), ends: int64(w.ends), data: data,
	}
	if !ok || len(w.secret) != len(r.secrets.Newest) || !token.ValidID(r.id) || !r.secrets.SetOld([]byte(w.old)) {
		return nil, errRecord
	}
	for _, n := range []int64{r.created, r.seen, r.idle, r.ends, int64(w.loginAt)} {
		if n < 0 || n > maxTime {
			return nil, errRecord
		}
	}
	copy(r.secrets.Newest[:], w.secret)
	if w.account == "" {
		return r, nil
	}
	if w.level < 1 || w.level > 255 {
		return nil, errRecord
	}
	r.account = &account{
		user: string(w.account), level: session.Level(w.level), at: int64(w.loginAt), persistent: w.persistent != 0,
		userAgent: string(w.userAgent), address: string(w.address),
	}
	return r, nil
}

// load returns the record of an id, expired or not, and the time. o is opLoad, or opLock in a
// transaction.
func (st *Store) load(ctx context.Context, tx *sql.Tx, o op, id string) (r *record, now int64, err error) {
	var w row
	err = st.query(ctx, tx, o, scanRow(w.dest()...), id)
	switch {
	case err != nil:
		return nil, 0, err
	case w.at == 0:
		return nil, 0, session.ErrNotFound
	}
	r, err = w.record()
	switch {
	case err != nil:
		return nil, 0, err
	case r.id != id: // the column ignores case
		return nil, 0, errRecord
	}
	return r, int64(w.at), nil
}

// change lets edit change the secrets and the data of a record, and stores the result. If the
// caller has a record, change starts with it: the caller gives it away, and now is 0 for edit.
// Otherwise change loads one. If another call has changed the record since, change starts again
// in a transaction that has locked the row. edit returns false if there is nothing to store.
func (st *Store) change(ctx context.Context, o op, id string, has *record, edit func(r *record, now int64) (changed bool, err error)) (r *record, err error) {
	done := false
	try := func(tx *sql.Tx, load op, base *record) (err error) {
		now := int64(0)
		if base == nil {
			if base, now, err = st.load(ctx, tx, load, id); err != nil {
				return err
			}
			if has != nil && base.incarnation != has.incarnation {
				return session.ErrNotFound
			}
		}
		changed, err := edit(base, now)
		if err != nil {
			return err
		}
		if changed {
			n, err := st.exec(ctx, tx, opChange, base.id, base.incarnation, base.version, base.secrets.Newest[:], base.secrets.Old(), []byte(base.data))
			if err != nil || n == 0 {
				return err
			}
			base.version++
		}
		r, done = base, true
		return nil
	}
	err = try(nil, opLoad, has)
	for err == nil && !done {
		err = st.inTx(ctx, o, func(tx *sql.Tx) error { return try(tx, opLock, nil) })
	}
	return r, err
}
