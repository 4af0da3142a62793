// Package memory keeps sessions in the memory of one process.
//
// Use it for development, for tests, and where one machine serves all requests. All
// sessions end when the process ends. A session costs about 220 bytes besides its
// values, and about 300 more if it has a user. Each write copies the session's values
// once, so keep them to a few kilobytes.
package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
)

// A Store keeps sessions in memory. The zero value is ready to use. It is safe
// for concurrent use; its fields must not change after the first call.
//
// It starts no goroutine. A session expires at its deadline, to the millisecond, even if
// no request checks it. Later calls free its memory: each one removes a bounded number
// of expired sessions. [Store.Sweep] removes all of them. The store uses the monotonic
// clock of the process. A change of the system's clock therefore neither ends nor
// prolongs a session. No time passes while the machine is suspended.
//
// It has all capabilities of package session: it is a [session.DeviceStore], and its
// sessions support everything that package session describes.
type Store struct {
	// IdleTimeout is how long a session lives after its last refresh. Zero means 30
	// minutes, or AbsoluteTimeout if that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long a session lives at most after its creation or its last
	// login. Zero means 12 hours. The maximum is 400 days.
	AbsoluteTimeout time.Duration

	// MaxSessions limits the number of live sessions. A new session beyond it fails with
	// [session.ErrFull]. The store never drops a live session to make room, but it
	// removes the expired sessions that a bounded search finds. Zero means no limit. Set
	// it if anonymous clients can create sessions.
	MaxSessions int

	once     sync.Once
	invalid  error
	idle     int64 // nanoseconds
	absolute int64
	start    time.Time
	seed     maphash.Seed
	live     atomic.Int64
	shards   [shardCount]shard
	users    [shardCount]userShard
}

const shardCount = 64

var (
	_ session.DeviceStore = (*Store)(nil)

	errNoStore   = errors.New("memory: Store is nil")
	errNoContext = errors.New("memory: context is nil")
	errGrace     = errors.New("memory: rotate: grace is negative")
)

// Check returns an error if a field has an invalid value.
func (st *Store) Check() error {
	if st == nil {
		return errNoStore
	}
	st.once.Do(st.init)
	return st.invalid
}

func (st *Store) init() {
	st.start = time.Now()
	st.seed = maphash.MakeSeed()
	for i := range st.shards {
		st.shards[i].store, st.shards[i].index = st, uint32(i)
		st.users[i].floor = math.MinInt64 // the user's check may have begun before the store was made
	}
	idle, absolute, err := lifetime.Of(st.IdleTimeout, st.AbsoluteTimeout)
	switch {
	case err != nil:
		st.invalid = fmt.Errorf("memory: %w", err)
	case st.MaxSessions < 0:
		st.invalid = fmt.Errorf("memory: MaxSessions %d is negative", st.MaxSessions)
	}
	st.idle, st.absolute = int64(idle), int64(absolute)
}

// begin starts every call and returns the time at which the call happens.
func (st *Store) begin(ctx context.Context) (now int64, err error) {
	if err := st.Check(); err != nil {
		return 0, err
	}
	return st.now(), contextErr(ctx)
}

func (st *Store) now() int64 { return int64(time.Since(st.start)) }

// at converts a time of the store to a wall clock time.
func (st *Store) at(t int64) time.Time { return st.start.Add(time.Duration(t)).Round(0) }

func contextErr(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// Generate creates an empty session, see [session.Store]. An id has 1 to 128 characters
// of A-Z, a-z, 0-9, '-' and '_'.
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	now, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	if !token.ValidID(id) {
		return nil, session.ErrInvalidID
	}
	secret := token.NewSecret()
	r := &record{data: strings.Clone(id), idLen: uint8(len(id)), created: now, seen: now, secrets: token.Secrets{Newest: token.Hash(secret)}} //nolint:gosec // at most token.MaxID
	sh, hash := st.shard(id)
	made := sh.load(r, token.Join(r.id(), secret), 0)
	err = st.insert(sh, hash, r, now)
	if errors.Is(err, session.ErrFull) && st.makeRoom(sh, now) {
		err = st.insert(sh, hash, r, now)
	}
	st.tidy(sh, now)
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (st *Store) insert(sh *shard, hash uint64, r *record, now int64) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if st.find(sh, hash, r.id(), now) != nil {
		return session.ErrExists
	}
	if !st.count() {
		return session.ErrFull
	}
	sh.add(hash, r)
	return nil
}

// count counts one more session, if MaxSessions allows it.
func (st *Store) count() bool {
	if live := st.live.Add(1); st.MaxSessions > 0 && live > int64(st.MaxSessions) {
		st.live.Add(-1)
		return false
	}
	return true
}

// Open loads the session of a token, see [session.TokenStore]. It reports why a formerly
// valid token no longer works. It fails with [session.ErrReused] for the last seven
// tokens that rotations have replaced since the last login. It fails with
// [session.ErrExpiredIdle] or [session.ErrExpiredAbsolute] until the session's memory is
// freed.
func (st *Store) Open(ctx context.Context, clientToken string) (session.Session, error) {
	return st.open(ctx, clientToken, func(_ *record, m token.Match, _ int64) (token.Match, error) { return m, nil })
}

// Rotate renews the token of a session, see [session.TokenStore]. The store keeps at
// most 64 old tokens of a session. A further rotation returns the newest token
// unchanged. For each old token, the store keeps only a salt, which is useless without
// that token.
func (st *Store) Rotate(ctx context.Context, clientToken string, grace time.Duration) (session.Session, error) {
	if grace < 0 {
		return nil, errGrace
	}
	_, presented, _ := token.Parse(clientToken)
	s, err := st.open(ctx, clientToken, func(r *record, m token.Match, now int64) (token.Match, error) {
		if m.Newest == presented { // otherwise another call has rotated it already
			m.Newest = r.secrets.Rotate(presented, int64(min(grace, lifetime.Max)), now)
		}
		return m, nil
	})
	if errors.Is(err, session.ErrNotFound) {
		err = session.ErrNotFound // only Open reports the reason
	}
	return s, err
}

// open authenticates a token. The function f runs under the lock and returns
// the match with the secret that the client carries from now on.
func (st *Store) open(ctx context.Context, clientToken string, f func(r *record, m token.Match, now int64) (token.Match, error)) (session.Session, error) {
	now, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	id, secret, ok := token.Parse(clientToken)
	if !ok {
		return nil, session.ErrNotFound
	}
	sh, hash := st.shard(id)
	defer st.tidy(sh, now)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.table.find(hash, id)
	if r == nil {
		return nil, session.ErrNotFound
	}
	m, err := st.match(sh, r, secret, now)
	if err == nil {
		m, err = f(r, m, now)
	}
	if err != nil {
		m.Undo()
		return nil, err
	}
	if m.Newest != secret {
		clientToken = token.Join(id, m.Newest)
	}
	return sh.load(r, clientToken, m.Ends), nil
}

// match authenticates a secret of a record. It removes an expired record.
func (st *Store) match(sh *shard, r *record, secret string, now int64) (token.Match, error) {
	m, ok := r.secrets.Match(secret, now)
	expired := st.expired(r, now)
	if expired != nil {
		st.drop(sh, r)
	}
	switch {
	case ok:
		return m, expired
	case expired != nil || !r.secrets.Reused(secret):
		return m, session.ErrNotFound
	case token.Bound(secret):
		return m, session.ErrUnproved
	}
	return m, session.ErrReused
}

// load returns a record as a request sees it. The caller holds the shard's lock.
func (sh *shard) load(r *record, clientToken string, ends int64) *requestSession {
	return &requestSession{
		shard: sh, record: r, token: clientToken, login: r.login, seen: r.seen, rotated: r.rotated(), data: r.data,
		device: r.secrets.Device(), ends: ends,
	}
}

// Get loads a session by its id, see [session.Store].
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	var s *requestSession
	err := st.withRecord(ctx, id, func(sh *shard, r *record, _ int64) error {
		s = sh.load(r, "", r.secrets.Ends())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Refresh prolongs a session, see [session.Store].
func (st *Store) Refresh(ctx context.Context, id string) error {
	return st.withRecord(ctx, id, func(_ *shard, r *record, now int64) error {
		if r.login != nil {
			us := r.login.user.shard
			us.mu.Lock()
			defer us.mu.Unlock()
			if r.evicted {
				return session.ErrNotFound
			}
		}
		r.seen = max(r.seen, now)
		return nil
	})
}

// Remove ends a session, see [session.Store].
func (st *Store) Remove(ctx context.Context, id string) error {
	err := st.withRecord(ctx, id, func(sh *shard, r *record, _ int64) error {
		st.drop(sh, r)
		return nil
	})
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}

// withRecord calls f, under the lock, with the live record of an id.
func (st *Store) withRecord(ctx context.Context, id string, f func(sh *shard, r *record, now int64) error) error {
	now, err := st.begin(ctx)
	if err != nil {
		return err
	}
	if !token.ValidID(id) {
		return session.ErrNotFound
	}
	sh, hash := st.shard(id)
	defer st.tidy(sh, now)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := st.find(sh, hash, id, now)
	if r == nil {
		return session.ErrNotFound
	}
	return f(sh, r, now)
}

func (st *Store) shard(id string) (sh *shard, hash uint64) {
	hash = maphash.String(st.seed, id)
	return &st.shards[hash%shardCount], hash
}

// deadlines returns the idle and the absolute deadline of a record.
func (st *Store) deadlines(r *record) (idle, absolute int64) {
	if l := r.login; l != nil {
		return r.seen + l.idle, l.at + l.absolute
	}
	return r.seen + st.idle, r.created + st.absolute
}

// deadline returns the exact time at which a record expires.
func (st *Store) deadline(r *record) int64 {
	idle, absolute := st.deadlines(r)
	return min(idle, absolute)
}

// expired returns the error for the earliest deadline of a record that has passed, or
// nil.
func (st *Store) expired(r *record, now int64) error {
	switch idle, absolute := st.deadlines(r); {
	case now < min(idle, absolute):
		return nil
	case idle < absolute:
		return session.ErrExpiredIdle
	}
	return session.ErrExpiredAbsolute
}

// find returns the live record of an id. It removes an expired record.
func (st *Store) find(sh *shard, hash uint64, id string, now int64) *record {
	r := sh.table.find(hash, id)
	if r == nil || sh.checkAlive(r, now) != nil {
		return nil
	}
	return r
}

// checkAlive removes an expired record. The caller holds the shard's lock.
func (sh *shard) checkAlive(r *record, now int64) error {
	if !r.dead && now >= sh.store.deadline(r) {
		sh.store.drop(sh, r)
	}
	if r.dead {
		return session.ErrNotFound
	}
	return nil
}

// drop ends a record.
func (st *Store) drop(sh *shard, r *record) {
	st.unlink(sh, r)
	st.live.Add(-1)
	if r.login != nil {
		r.login.user.removeSession(r)
	}
}

// unlink removes a record from the table and the heap, and marks it dead.
func (st *Store) unlink(sh *shard, r *record) {
	sh.table.remove(maphash.String(st.seed, r.id()), r)
	sh.expiry.remove(r)
	r.dead = true
	r.secrets.Forget()
}
