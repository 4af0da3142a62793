package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// A login says which user a session belongs to, since when and for how long. It never
// changes: the next login of the session replaces it.
type login struct {
	user   *userEntry
	shard  *shard // of the record
	record *record

	at, idle, absolute int64 // the time of the login, and its timeouts
	level              session.Level
	persistent         bool
	userAgent, address string
}

// withLock calls f with the lock of the session's shard.
func (l *login) withLock(f func()) {
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	f()
}

// A location is an id and the place where the record of that id is or would be.
type location struct {
	id    string
	shard *shard
	hash  uint64
}

func (st *Store) locate(id string) location {
	sh, hash := st.shard(id)
	return location{id, sh, hash}
}

// A loginAttempt is a login in progress.
type loginAttempt struct {
	session.Login
	from      location // of the client's session; without a session, only a shard
	secret    string   // of the client's session
	to        location // of the session that begins, if any
	values    values.Change
	newSecret string
	began     int64
	next      *login

	// Login ends the sessions of these logins after it has released its locks. Another login
	// or the clock has already ended the stale ones. The evicted ones make room for this login.
	stale, evicted []*login
}

// Login logs a user in, see [session.UserStore]. With EndOldest, it ends the sessions
// whose last login was longest ago. In a full store, a login from an anonymous session
// still works, because one session ends and one begins. A login without a session then
// fails with [session.ErrFull].
func (st *Store) Login(ctx context.Context, clientToken string, l session.Login) (session.Session, error) {
	now, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	a, err := st.newLoginAttempt(clientToken, l)
	if err != nil {
		return nil, err
	}
	defer st.tidy(a.to.shard, now)
	s, err := st.commit(&a)
	if errors.Is(err, session.ErrFull) && st.makeRoom(a.to.shard, now) {
		s, err = st.commit(&a)
	}
	st.endAll(a.stale)
	for _, id := range st.endAll(a.evicted) {
		if l.Ended != nil {
			l.Ended(id)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newLoginAttempt checks and prepares a login. It needs no lock.
func (st *Store) newLoginAttempt(clientToken string, l session.Login) (loginAttempt, error) {
	if err := l.Check(); err != nil {
		return loginAttempt{}, err
	}
	idle, absolute, err := lifetime.Own(l.IdleTimeout, l.AbsoluteTimeout, time.Duration(st.idle), time.Duration(st.absolute))
	if err != nil && !l.Reauthentication {
		return loginAttempt{}, fmt.Errorf("memory: login: %w", err)
	}
	id, secret, ok := token.Parse(clientToken)
	if !ok && (clientToken != "" || l.Reauthentication) {
		return loginAttempt{}, session.ErrNotFound
	}
	set, err := values.SetAll(l.Values)
	if err != nil {
		return loginAttempt{}, err
	}
	if l.ID == "" {
		l.ID = uuid.NewString()
	}
	a := loginAttempt{
		Login: l, secret: secret, to: st.locate(l.ID), values: set, newSecret: token.NewSecret(), began: st.began(l.Began),
	}
	a.from = location{shard: a.to.shard}
	if ok {
		a.from = st.locate(id)
	}
	var buf [320]byte                                                       // Check bounds both
	device := string(append(append(buf[:0], l.UserAgent...), l.Address...)) // copied, so the login does not keep the request's memory
	a.next = &login{
		idle: int64(idle), absolute: int64(absolute), level: cmp.Or(l.Level, session.Authenticated),
		persistent: l.Persistent, userAgent: device[:len(l.UserAgent)], address: device[len(l.UserAgent):],
	}
	return a, nil
}

// began converts t to the time of the store. If t has no monotonic reading, began
// measures its age by the system's clock.
func (st *Store) began(t time.Time) int64 {
	present := time.Now()
	began := int64(present.Sub(st.start))
	if !t.IsZero() {
		began -= max(0, int64(present.Sub(t)))
	}
	return began
}

// commit does a login, or refuses it and changes nothing. It holds the locks of both
// sessions and of the user, so no write, revocation or other login can interfere.
func (st *Store) commit(a *loginAttempt) (*requestSession, error) {
	first, second := a.from.shard, a.to.shard
	if first.index > second.index {
		first, second = second, first
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if second != first {
		second.mu.Lock()
		defer second.mu.Unlock()
	}
	now := st.now()
	var r *record // of the client's session
	if a.from.id != "" {
		r = st.find(a.from.shard, a.from.hash, a.from.id, now)
		if r == nil || !a.accepts(r, now) {
			return nil, session.ErrNotFound
		}
	}
	begins := r == nil || r.login == nil
	taken := begins && st.find(a.to.shard, a.to.hash, a.to.id, now) != nil

	us := st.usersOf(a.User)
	us.mu.Lock()
	defer us.mu.Unlock()
	now = st.now() // a revocation that was forgotten before this time is too old to matter
	u := us.entry(a.User)
	switch {
	case r != nil && (r.evicted || now >= st.deadline(r)):
		return nil, session.ErrNotFound
	case u.refuses(a.began, now):
		return nil, session.ErrRevoked
	case taken:
		return nil, session.ErrExists
	}
	data, err := a.data(r)
	if err != nil {
		return nil, err
	}
	if err := st.enforceLimits(a, u, r, now); err != nil {
		return nil, err
	}

	at := a.from
	if begins {
		if at = a.to; r != nil {
			st.unlink(a.from.shard, r)
		}
		r = &record{data: data, idLen: uint8(len(a.to.id)), created: now} //nolint:gosec // at most token.MaxID
	}
	a.inherit(r.login)
	a.next.user, a.next.shard, a.next.record, a.next.at = u, at.shard, r, now
	r.data, r.secrets = data, token.Secrets{Newest: token.Hash(a.newSecret)}
	r.login, r.seen = a.next, now
	u.addSession(r)
	if begins {
		at.shard.add(at.hash, r)
	} else {
		at.shard.expiry.move(r, st.deadline(r))
	}
	s := at.shard.load(r, token.Join(at.id, a.newSecret), 0)
	if begins {
		s.id = at.id // not part of a token that the client sent
	}
	return s, nil
}

// accepts reports whether the client's token is valid and the user may log in with it.
func (a *loginAttempt) accepts(r *record, now int64) bool {
	if r.login == nil && a.Reauthentication || r.login != nil && r.login.user.name != a.User {
		return false
	}
	return r.secrets.Accepts(a.secret, now)
}

// data returns the data of the session's record after the login. r is the record of the
// client's session, or nil if it has none.
func (a *loginAttempt) data(r *record) (string, error) {
	switch {
	case r == nil:
		return values.Block("").Changed(&a.values, a.to.id)
	case r.login == nil:
		return r.values().Changed(&a.values, a.to.id)
	case a.values.Set == "":
		return r.data, nil
	}
	return r.values().Changed(&a.values, r.id())
}

// inherit copies the fields that a reauthentication does not change.
func (a *loginAttempt) inherit(before *login) {
	if !a.Reauthentication {
		return
	}
	next := *before
	next.level = cmp.Or(a.Level, before.level)
	a.next = &next
}

// enforceLimits makes room for the session, or refuses the login. With this login the
// user has at most MaxSessions live sessions. If r is nil, the store counts one more
// session. The sessions that enforceLimits does not count must never become live again,
// so it evicts them.
func (st *Store) enforceLimits(a *loginAttempt, u *userEntry, r *record, now int64) error {
	var live []*login
	many := 0
	if a.MaxSessions > 0 {
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
		many = max(0, len(live)-(a.MaxSessions-1))
	}
	switch {
	case many > 0 && !a.EndOldest:
		return session.ErrUserLimit
	case r == nil && !st.count():
		return session.ErrFull
	}
	a.evicted = live[:many]
	for _, l := range a.evicted {
		l.record.evicted = true
	}
	return nil
}

// endAll ends the sessions that no other call has ended yet, and returns their ids. The
// caller holds no lock.
func (st *Store) endAll(logins []*login) (ids []string) {
	for _, l := range logins {
		l.withLock(func() {
			if !l.record.dead {
				st.drop(l.shard, l.record)
			}
			ids = append(ids, strings.Clone(l.record.id()))
		})
	}
	return ids
}
