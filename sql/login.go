package sql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// An attempt is a login in progress.
type attempt struct {
	session.Login
	began          time.Time // when the password check began
	from, secret   string    // of the client's session; empty: a session begins
	idle, absolute int64
	values         values.Change
	fresh          string // the new secret
	incarnation    int64  // of the session, if one begins
	slot           int64  // of the user
}

// slots is how many rows of the table of users put logins and revocations in order. A hash of
// the user's name selects the row. Users with the same row may only have to wait for each
// other.
const slots = 1024

func slotOf(user string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user))      // documented never to fail
	return int64(h.Sum32()%slots) + 1 // slot 0 is for the rows of users
}

// errMoved means that a login has to start again, because another call was first.
var errMoved = errors.New("sql: login: somebody else was first")

// Login logs a user in, see [session.UserStore]. A login from an anonymous session changes the
// row of that session, so it is never half done. If the database fails, the store removes the
// session that may have begun, because no client has its token.
func (st *Store) Login(ctx context.Context, carried string, l session.Login) (session.Session, error) {
	a := &attempt{Login: l, began: time.Now(), fresh: token.NewSecret(), incarnation: newIncarnation(), slot: slotOf(l.User)}
	if !l.Began.IsZero() && l.Began.Before(a.began) {
		a.began = l.Began
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := a.check(st, carried); err != nil {
		return nil, err
	}
	r, evicted, err := st.enter(ctx, a)
	for _, id := range evicted {
		if err == nil && l.Ended != nil {
			l.Ended(id)
		}
	}
	if err != nil {
		return nil, err
	}
	if a.from == "" {
		st.tidy(ctx)
	}
	return st.object(r, token.Join(r.id, a.fresh), 0), nil
}

// check does the preparation that needs no database.
func (a *attempt) check(st *Store, carried string) error {
	if err := a.Check(); err != nil {
		return err
	}
	const unit = time.Microsecond
	idle, absolute, err := lifetime.Own(a.IdleTimeout, a.AbsoluteTimeout, time.Duration(st.idle)*unit, time.Duration(st.absolute)*unit)
	if err != nil && !a.Reauthentication {
		return fmt.Errorf("sql: login: %w", err)
	}
	a.idle, a.absolute = idle.Microseconds(), absolute.Microseconds()
	var ok bool
	if a.from, a.secret, ok = token.Parse(carried); !ok && (carried != "" || a.Reauthentication) {
		return session.ErrNotFound
	}
	if a.values, err = values.SetAll(a.Values); err != nil {
		return err
	}
	if a.ID == "" {
		a.ID = uuid.NewString()
	}
	return nil
}

// enter logs in. If the dialect has one statement for that, enter tries it once, without a
// lock. Otherwise, or if another call was first, it uses a transaction that locks the slot.
func (st *Store) enter(ctx context.Context, a *attempt) (r *record, evicted []string, err error) {
	err = errMoved
	if d := st.dialect; d.oneLogin && (d.evicts || a.MaxSessions == 0) {
		r, evicted, err = st.enterAtOnce(ctx, a)
	}
	// If the password check began at about the same time as a revocation, enter asks again. The
	// faster the answer, the more exactly it tells which was first.
	for late := 0; errors.Is(err, errMoved) || errors.Is(err, errUnsure) && late < maxLate; {
		if errors.Is(err, errUnsure) {
			late++
		}
		var committing bool
		err = st.inTx(ctx, opClaim, func(tx *sql.Tx) (err error) {
			committing = false
			if _, err := st.exec(ctx, tx, opClaim, a.slot); err != nil {
				return err
			}
			v, err := st.visit(ctx, tx, a)
			if err != nil {
				return err
			}
			if r, evicted, err = st.bind(ctx, tx, a, v); err == nil {
				committing = true
			}
			return err
		})
		if err != nil && committing {
			st.abandon(ctx, a, err)
		}
	}
	if errors.Is(err, errUnsure) {
		err = session.ErrRevoked
	}
	return r, evicted, err
}

const (
	// maxLate is how often enter asks whether the password check began after a revocation.
	maxLate = 8

	// defaultCleanup bounds the time for removing a session that may have begun.
	defaultCleanup = 250 * time.Millisecond
)

// errUnsure means that the password check began at about the time of a revocation.
var errUnsure = errors.New("sql: login: revoked at about the same time")

// abandon removes a session that may have begun although no answer arrived: no client could
// ever use it. It checks the incarnation, because another session may have the same id.
func (st *Store) abandon(ctx context.Context, a *attempt, err error) {
	if st.code(err) != "" { // the database has refused the login
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(st.cleanup, defaultCleanup))
	defer cancel()
	// The login may still be running. Claiming the slot waits for it, or makes it fail because the
	// slot's version has changed.
	if _, err := st.exec(ctx, nil, opClaim, a.slot); err != nil {
		return
	}
	if r, _, err := st.load(ctx, nil, opLoad, a.ID); err == nil && r.incarnation == a.incarnation {
		_ = st.Remove(ctx, a.ID)
	}
}

// A visit holds what a login has to know.
type visit struct {
	now, revoked int64
	version      int64     // of the slot; 0: the slot has no row yet
	from, to     *record   // the client's session, and the session that has the new id
	others       []*record // the user's sessions, if there is a limit
	elapsed      int64     // upper bound of the time since the password check began
	deadline     int64     // of the call, by the database's clock
}

// visit loads everything that a login has to know.
func (st *Store) visit(ctx context.Context, tx *sql.Tx, a *attempt) (*visit, error) {
	v, o := &visit{}, opVisitor
	if a.MaxSessions > 0 {
		o = opVisitors
	}
	err := st.query(ctx, tx, o, func(rows *sql.Rows) error {
		*v = visit{}
		for rows.Next() {
			if err := v.add(rows, a); err != nil {
				return err
			}
		}
		return nil
	}, []byte(a.User), a.from, a.ID, a.slot)
	v.elapsed = max(0, time.Since(a.began).Microseconds())
	if end, ok := ctx.Deadline(); ok {
		v.deadline = v.now + time.Until(end).Microseconds()
	}
	return v, err
}

// add reads a row of the answer: the state of the slot and the user, and at most one record.
func (v *visit) add(rows *sql.Rows, a *attempt) error {
	var w row
	var version, revoked number
	if err := rows.Scan(w.dest(&version, &revoked)...); err != nil {
		return err
	}
	v.now, v.version, v.revoked = int64(w.at), int64(version), int64(revoked)
	if w.id == "" {
		return nil
	}
	r, err := w.record()
	if err != nil {
		return err
	}
	if r.id == a.from {
		v.from = r
	}
	if r.id == a.ID {
		v.to = r
	}
	if r.user() == a.User {
		v.others = append(v.others, r)
	}
	return nil
}

// bound returns the record after the login, or refuses the login. It starts from the client's
// record, if there is one.
func (a *attempt) bound(v *visit) (*record, error) {
	r := v.from
	if a.from != "" {
		switch {
		case r == nil || r.expired(v.now) != nil || !r.secrets.Accepts(a.secret, v.now),
			r.account == nil && a.Reauthentication, r.account != nil && r.user() != a.User:
			return nil, session.ErrNotFound
		}
	}
	switch {
	case v.elapsed > session.BeganLimit.Microseconds():
		return nil, session.ErrRevoked
	case v.now-v.elapsed < v.revoked:
		return nil, errUnsure
	}
	next := &record{
		id: a.ID, incarnation: a.incarnation, created: v.now, idle: a.idle, ends: v.now + a.absolute,
		account: &account{
			user: a.User, level: cmp.Or(a.Level, session.Authenticated), persistent: a.Persistent, userAgent: a.UserAgent, address: a.Address,
		},
	}
	if r != nil && r.account != nil {
		next.id, next.incarnation, next.version, next.created = r.id, r.incarnation, r.version+1, r.created
		if a.Reauthentication {
			before := *r.account
			before.level = cmp.Or(a.Level, before.level)
			next.account, next.idle, next.ends = &before, r.idle, v.now+r.ends-r.account.at
		}
	} else if v.to != nil && v.to.expired(v.now) == nil {
		return nil, session.ErrExists
	}
	next.account.at, next.seen, next.secrets.Newest = v.now, v.now, token.Hash(a.fresh)
	var stored values.Block
	if r != nil {
		stored = r.data
	}
	if a.values.Set == "" {
		next.data = stored
		return next, nil
	}
	after, err := stored.Changed(&a.values, "")
	next.data = values.Block(after)
	return next, err
}

// crowd returns the sessions of the user that must end to make room for this login. The session
// with the oldest login comes first.
func (a *attempt) crowd(v *visit) ([]*record, error) {
	if a.MaxSessions == 0 {
		return nil, nil
	}
	others := slices.DeleteFunc(v.others, func(r *record) bool { return r == v.from || r.expired(v.now) != nil })
	many := max(0, len(others)-(a.MaxSessions-1))
	if many > 0 && !a.EndOldest {
		return nil, session.ErrUserLimit
	}
	slices.SortFunc(others, func(x, y *record) int {
		return cmp.Or(cmp.Compare(x.account.at, y.account.at), cmp.Compare(x.id, y.id))
	})
	return others[:many], nil
}

// plan decides a login. It returns the record to store, the ids of the sessions to end, and the
// last of those sessions.
func (a *attempt) plan(v *visit) (next *record, evicted []string, last *record, err error) {
	if next, err = a.bound(v); err != nil {
		return nil, nil, nil, err
	}
	crowd, err := a.crowd(v)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, r := range crowd {
		evicted, last = append(evicted, r.id), r
	}
	return next, evicted, last, nil
}

// bind carries out a login in a transaction that holds the slot.
func (st *Store) bind(ctx context.Context, tx *sql.Tx, a *attempt, v *visit) (*record, []string, error) {
	next, evicted, last, err := a.plan(v)
	if err != nil {
		return nil, nil, err
	}
	if v.to != nil && v.to.expired(v.now) != nil && v.to != v.from {
		if _, err := st.exec(ctx, tx, opBury, v.to.id); err != nil {
			return nil, nil, err
		}
	}
	o, args := opBegin, next.fields()
	if v.from != nil {
		o, args = opEnter, append(args, v.from.id, v.from.incarnation, v.from.version)
	}
	n, err := st.exec(ctx, tx, o, args...)
	switch {
	case st.duplicate(err), err == nil && n == 0:
		return nil, nil, errMoved
	case err != nil:
		return nil, nil, err
	}
	if last != nil {
		_, err = st.exec(ctx, tx, opEvict, []byte(a.User), last.account.at, last.id, next.id)
	}
	return next, evicted, err
}

// enterAtOnce carries out a login in two statements. It returns errMoved if another call was
// first.
func (st *Store) enterAtOnce(ctx context.Context, a *attempt) (*record, []string, error) {
	v, err := st.visit(ctx, nil, a)
	if err != nil {
		return nil, nil, err
	}
	next, evicted, last, err := a.plan(v)
	switch {
	case err != nil:
		return nil, nil, err
	case v.to != nil && v.to != v.from: // an expired session still holds the id
		return nil, nil, errMoved
	}
	o, args := opBeginAll, next.fields()
	if v.from != nil {
		o, args = opEnterAll, append(args, v.from.id, v.from.incarnation, v.from.version)
	}
	args = append(args, a.slot, v.version, v.deadline)
	if last != nil {
		args = append(args, last.account.at, last.id)
	} else {
		args = append(args, int64(-1), "")
	}
	n, err := st.exec(ctx, nil, o, args...)
	switch {
	case st.duplicate(err), err == nil && n == 0:
		return nil, nil, errMoved
	case err != nil:
		st.abandon(ctx, a, err)
		return nil, nil, err
	}
	return next, evicted, nil
}

// fields returns the columns of a record that a login stores, see opBegin.
func (r *record) fields() []any {
	a, persistent := r.account, 0
	if a.persistent {
		persistent = 1
	}
	return append(make([]any, 0, 24),
		r.id, r.incarnation, r.version, r.secrets.Newest[:], r.created, r.seen, r.idle, r.ends, min(r.seen+2*r.idle, r.ends),
		[]byte(a.user), int64(a.level), a.at, int64(persistent), []byte(a.userAgent), []byte(a.address), []byte(r.data))
}
