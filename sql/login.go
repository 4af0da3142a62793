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

// A loginAttempt is a login in progress.
type loginAttempt struct {
	session.Login
	began          time.Time // when the password check began
	from, secret   string    // of the client's session; empty: a session begins
	idle, absolute int64
	values         values.Change
	newSecret      string
	incarnation    int64 // of the session, if one begins
	slot           int64 // of the user
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

// errConflict means that a login has to start again, because another call was first.
var errConflict = errors.New("sql: login: another call was first")

// Login logs a user in, see [session.UserStore]. A login from an anonymous session changes the
// row of that session, so it is never half done. If the database fails, the store removes the
// session that may have begun, because no client has its token.
func (st *Store) Login(ctx context.Context, clientToken string, l session.Login) (session.Session, error) {
	a := &loginAttempt{Login: l, began: time.Now(), newSecret: token.NewSecret(), incarnation: newIncarnation(), slot: slotOf(l.User)}
	if !l.Began.IsZero() && l.Began.Before(a.began) {
		a.began = l.Began
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := a.check(st, clientToken); err != nil {
		return nil, err
	}
	r, evicted, err := st.runLogin(ctx, a)
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
	return st.newRequestSession(r, token.Join(r.id, a.newSecret), 0), nil
}

// check does the preparation that needs no database.
func (a *loginAttempt) check(st *Store, clientToken string) error {
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
	if a.from, a.secret, ok = token.Parse(clientToken); !ok && (clientToken != "" || a.Reauthentication) {
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

// runLogin logs in. If the dialect has one statement for that, runLogin tries it once, without a
// lock. Otherwise, or if another call was first, it uses a transaction that locks the slot.
func (st *Store) runLogin(ctx context.Context, a *loginAttempt) (r *record, evicted []string, err error) {
	err = errConflict
	if d := st.dialect; d.oneLogin && (d.evicts || a.MaxSessions == 0) {
		r, evicted, err = st.loginWithoutLock(ctx, a)
	}
	// If the password check began at about the same time as a revocation, runLogin asks again. The
	// faster the answer, the more exactly it tells which was first.
	for tries := 0; errors.Is(err, errConflict) || errors.Is(err, errRevokedMeanwhile) && tries < maxTries; {
		if errors.Is(err, errRevokedMeanwhile) {
			tries++
		}
		var committing bool
		err = st.inTx(ctx, opLockSlot, func(tx *sql.Tx) (err error) {
			committing = false
			if _, err := st.exec(ctx, tx, opLockSlot, a.slot); err != nil {
				return err
			}
			v, err := st.loadLoginState(ctx, tx, a)
			if err != nil {
				return err
			}
			if r, evicted, err = st.storeLogin(ctx, tx, a, v); err == nil {
				committing = true
			}
			return err
		})
		if err != nil && committing {
			st.abandon(ctx, a, err)
		}
	}
	if errors.Is(err, errRevokedMeanwhile) {
		err = session.ErrRevoked
	}
	return r, evicted, err
}

const (
	// maxTries is how often runLogin asks whether the password check began after a revocation.
	maxTries = 8

	// defaultCleanup bounds the time for removing a session that may have begun.
	defaultCleanup = 250 * time.Millisecond
)

// errRevokedMeanwhile means that the password check began at about the time of a revocation.
var errRevokedMeanwhile = errors.New("sql: login: revoked at about the same time")

// abandon removes a session that may have begun although no answer arrived: no client could
// ever use it. It checks the incarnation, because another session may have the same id.
func (st *Store) abandon(ctx context.Context, a *loginAttempt, err error) {
	if st.code(err) != "" { // the database has refused the login
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(st.cleanup, defaultCleanup))
	defer cancel()
	// The login may still be running. Locking the slot waits for it, or makes it fail because the
	// slot's version has changed.
	if _, err := st.exec(ctx, nil, opLockSlot, a.slot); err != nil {
		return
	}
	if r, _, err := st.load(ctx, nil, opLoad, a.ID); err == nil && r.incarnation == a.incarnation {
		_ = st.Remove(ctx, a.ID)
	}
}

// A loginState holds what a login has to know.
type loginState struct {
	now, revoked int64
	version      int64     // of the slot; 0: the slot has no row yet
	from, to     *record   // the client's session, and the session that has the new id
	others       []*record // the user's sessions, if there is a limit
	elapsed      int64     // upper bound of the time since the password check began
	deadline     int64     // of the call, by the database's clock
}

// loadLoginState loads everything that a login has to know.
func (st *Store) loadLoginState(ctx context.Context, tx *sql.Tx, a *loginAttempt) (*loginState, error) {
	v, o := &loginState{}, opLoginState
	if a.MaxSessions > 0 {
		o = opLoginStateAll
	}
	err := st.query(ctx, tx, o, func(rows *sql.Rows) error {
		*v = loginState{}
		for rows.Next() {
			if err := v.addRow(rows, a); err != nil {
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

// addRow reads a row of the answer: the state of the slot and the user, and at most one record.
func (v *loginState) addRow(rows *sql.Rows, a *loginAttempt) error {
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

// newRecord returns the record after the login, or refuses the login. It starts from the client's
// record, if there is one.
func (a *loginAttempt) newRecord(v *loginState) (*record, error) {
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
		return nil, errRevokedMeanwhile
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
	next.account.at, next.seen, next.secrets.Newest = v.now, v.now, token.Hash(a.newSecret)
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

// sessionsOverLimit returns the sessions of the user that must end to make room for this login. The session
// with the oldest login comes first.
func (a *loginAttempt) sessionsOverLimit(v *loginState) ([]*record, error) {
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
func (a *loginAttempt) plan(v *loginState) (next *record, evicted []string, last *record, err error) {
	if next, err = a.newRecord(v); err != nil {
		return nil, nil, nil, err
	}
	crowd, err := a.sessionsOverLimit(v)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, r := range crowd {
		evicted, last = append(evicted, r.id), r
	}
	return next, evicted, last, nil
}

// storeLogin carries out a login in a transaction that holds the slot.
func (st *Store) storeLogin(ctx context.Context, tx *sql.Tx, a *loginAttempt, v *loginState) (*record, []string, error) {
	next, evicted, last, err := a.plan(v)
	if err != nil {
		return nil, nil, err
	}
	if v.to != nil && v.to.expired(v.now) != nil && v.to != v.from {
		if _, err := st.exec(ctx, tx, opRemoveExpired, v.to.id); err != nil {
			return nil, nil, err
		}
	}
	o, args := opInsertLogin, next.fields()
	if v.from != nil {
		o, args = opUpdateLogin, append(args, v.from.id, v.from.incarnation, v.from.version)
	}
	n, err := st.exec(ctx, tx, o, args...)
	switch {
	case st.duplicate(err), err == nil && n == 0:
		return nil, nil, errConflict
	case err != nil:
		return nil, nil, err
	}
	if last != nil {
		_, err = st.exec(ctx, tx, opEvict, []byte(a.User), last.account.at, last.id, next.id)
	}
	return next, evicted, err
}

// loginWithoutLock carries out a login in two statements. It returns errConflict if another call was
// first.
func (st *Store) loginWithoutLock(ctx context.Context, a *loginAttempt) (*record, []string, error) {
	v, err := st.loadLoginState(ctx, nil, a)
	if err != nil {
		return nil, nil, err
	}
	next, evicted, last, err := a.plan(v)
	switch {
	case err != nil:
		return nil, nil, err
	case v.to != nil && v.to != v.from: // an expired session still holds the id
		return nil, nil, errConflict
	}
	o, args := opLockInsertLogin, next.fields()
	if v.from != nil {
		o, args = opLockUpdateLogin, append(args, v.from.id, v.from.incarnation, v.from.version)
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
		return nil, nil, errConflict
	case err != nil:
		st.abandon(ctx, a, err)
		return nil, nil, err
	}
	return next, evicted, nil
}

// fields returns the columns of a record that a login stores, see opInsertLogin.
func (r *record) fields() []any {
	a, persistent := r.account, 0
	if a.persistent {
		persistent = 1
	}
	return append(make([]any, 0, 24),
		r.id, r.incarnation, r.version, r.secrets.Newest[:], r.created, r.seen, r.idle, r.ends, min(r.seen+2*r.idle, r.ends),
		[]byte(a.user), int64(a.level), a.at, int64(persistent), []byte(a.userAgent), []byte(a.address), []byte(r.data))
}
