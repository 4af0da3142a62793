package memory

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
)

// A login is whose a session is, since when and for how long. It never changes:
// the next login of the session replaces it.
type login struct {
	account *account
	shard   *shard // of the record
	record  *record

	at, idle, absolute int64 // when it was, and the timeouts from then on
	level              session.Level
	persistent         bool
	userAgent, address string
}

// locked calls f under the lock of the session.
func (l *login) locked(f func()) {
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	f()
}

// An attempt is a login under way.
type attempt struct {
	session.Login
	id, secret string // of the session, as the client has them
	fresh      string // the secret to come
	began      int64
	next       *login

	// To be ended when no lock is held: what another login or the clock has ended
	// already, and what makes room for this one.
	stale, evicted []*login
}

// Login makes the session of a token a user's, see [session.UserStore]. Where
// EndOldest ends sessions, those that logged in first are the ones whose last
// login is the longest ago.
func (st *Store) Login(ctx context.Context, carried string, l session.Login) (session.Session, error) {
	now, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	idle, absolute, err := lifetime.Own(l.IdleTimeout, l.AbsoluteTimeout, time.Duration(st.idle), time.Duration(st.absolute))
	if err != nil && !l.Reauthentication {
		return nil, fmt.Errorf("memory: login: %w", err)
	}
	id, secret, ok := token.Parse(carried)
	if !ok {
		return nil, session.ErrNotFound
	}
	sh, hash := st.shard(id)
	defer st.tidy(sh, now)
	a := &attempt{Login: l, id: id, secret: secret, fresh: token.NewSecret(), began: st.began(l.Began)}
	a.next = &login{
		shard: sh, idle: int64(idle), absolute: int64(absolute), level: cmp.Or(l.Level, session.Authenticated),
		persistent: l.Persistent, userAgent: strings.Clone(l.UserAgent), address: strings.Clone(l.Address),
	}
	s, err := st.bind(a, hash)
	st.end(a.stale)
	for _, id := range st.end(a.evicted) {
		if l.Ended != nil {
			l.Ended(id)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// began is the time of t for the store; t without a monotonic reading is as long
// ago as the system's clock says now.
func (st *Store) began(t time.Time) int64 {
	present := time.Now()
	began := int64(present.Sub(st.start))
	if !t.IsZero() {
		began -= max(0, int64(present.Sub(t)))
	}
	return began
}

// bind does a login if it may be: all of it under the locks of the session and of
// the user, so that no revocation and no other login comes in between.
func (st *Store) bind(a *attempt, hash uint64) (*object, error) {
	sh := a.next.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := st.now()
	r := st.find(sh, hash, a.id, now)
	if r == nil || !a.may(r) {
		return nil, session.ErrNotFound
	}
	if _, ok := r.accept(a.secret, now); !ok {
		return nil, session.ErrNotFound
	}

	us := st.usersOf(a.User)
	us.mu.Lock()
	defer us.mu.Unlock()
	now = st.now() // a revocation that was forgotten before is too old to matter from here on
	u := us.account(a.User)
	switch {
	case r.evicted || now >= st.deadline(r):
		return nil, session.ErrNotFound
	case u.refuses(a.began, now):
		return nil, session.ErrRevoked
	}
	if err := st.room(a, u, r, now); err != nil {
		return nil, err
	}
	a.inherit(r.login)
	a.next.account, a.next.record, a.next.at = u, r, now
	r.secret, r.old = token.Hash(a.fresh), nil
	r.login, r.seen = a.next, now
	u.enter(r)
	sh.calendar.remove(r)
	sh.calendar.add(r, st.slotOf(r, now))
	return sh.load(r, token.Join(a.id, a.fresh)), nil
}

// may reports whether the session is one that the user may log in to.
func (a *attempt) may(r *record) bool {
	if r.login == nil {
		return !a.Reauthentication
	}
	return r.login.account.user == a.User
}

// inherit takes over what a reauthentication leaves as it is.
func (a *attempt) inherit(before *login) {
	if !a.Reauthentication {
		return
	}
	next := *before
	next.level = cmp.Or(a.Level, before.level)
	a.next = &next
}

// room sees to it that no more sessions of the user than the login allows live
// beside r. What it does not count must never be alive again, and is evicted.
func (st *Store) room(a *attempt, u *account, r *record, now int64) error {
	if a.MaxSessions == 0 {
		return nil
	}
	var live []*login
	for l := range u.logins() {
		switch o := l.record; {
		case o == r:
		case o.evicted || now >= st.deadline(o):
			o.evicted = true
			a.stale = append(a.stale, l)
		default:
			live = append(live, l)
		}
	}
	many := len(live) - (a.MaxSessions - 1)
	switch {
	case many <= 0:
		return nil
	case !a.EndOldest:
		return session.ErrUserLimit
	}
	a.evicted = live[:many]
	for _, l := range a.evicted {
		l.record.evicted = true
	}
	return nil
}

// end ends sessions, unless somebody else was first, and returns their ids. The
// caller holds no lock.
func (st *Store) end(logins []*login) (ids []string) {
	for _, l := range logins {
		l.locked(func() {
			if !l.record.dead {
				st.drop(l.shard, l.record)
			}
			ids = append(ids, strings.Clone(l.record.id()))
		})
	}
	return ids
}
