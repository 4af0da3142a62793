package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
)

// A Store keeps sessions in a PostgreSQL, MySQL, MariaDB or SQLite database. DB is
// needed, every other field has a safe zero value. It is safe for concurrent use; its
// fields must not change after the first call. [Store.Migrate] makes its tables.
//
// A read is one query and a write one statement. Each write checks in the same
// statement that the session is alive. The database's clock decides about time, but for
// SQLite, which runs in the process and has its clock. The store starts no goroutine,
// and does not close the DB.
//
// It has all capabilities: it is a [session.UserStore], and its sessions are all that
// package session describes.
//
// Any error that matches none of package session's means that the database failed or
// could not be reached. It never means that the user is logged out. A write that failed
// so may or may not have been applied. [errors.Is] and [errors.As] reach the error of
// the driver and that of the context. The text holds no more of a server's answer than
// its code, because servers repeat what they were sent.
type Store struct {
	// DB is the database. It must not read from replicas.
	DB *sql.DB

	// Dialect is what the database speaks. Zero: what DB's driver says, if that is one
	// of those that the package documentation names.
	Dialect Dialect

	// Prefix is what the names of the store's tables and indexes begin with: lower-case
	// letters, digits and underscores, at most 32, and on PostgreSQL and MySQL the name
	// of a schema and a dot before them. Empty: "session_".
	//
	// Applications that share a database need a prefix each. So do tenants: sessions
	// and users are told apart by nothing else, so one store serves one tenant.
	Prefix string

	// IdleTimeout is how long after its last refresh a session ends. Zero: 30
	// minutes, or AbsoluteTimeout where that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long after it was made, or after its last login, a
	// session ends, whatever happens. Zero: 12 hours. At most 400 days. A session
	// keeps the timeouts that it was made with, until a login gives it others.
	AbsoluteTimeout time.Duration

	// OpTimeout bounds a call whose context has no deadline, also the function
	// given to Update. Zero: five seconds. The error then matches
	// [context.DeadlineExceeded].
	OpTimeout time.Duration

	once       sync.Once
	invalid    error
	dialect    *dialect
	statements [opCount]statement
	idle       int64 // microseconds, as all times
	absolute   int64
	opTimeout  time.Duration
	cleanup    time.Duration // zero: defaultCleanup; a test may set it
	writer     chan struct{} // held by the only writer, where the dialect allows one
	migrating  chan struct{} // held by who makes the tables
	calls      atomic.Uint32 // that made a session
	swept      atomic.Int64  // where the next of these calls begins to sweep, see dialect
}

const defaultOpTimeout = 5 * time.Second

var _ session.DeviceStore = (*Store)(nil)

var (
	errNoStore   = errors.New("sql: Store is nil")
	errNoDB      = errors.New("sql: DB is nil")
	errNoContext = errors.New("sql: context is nil")
	errGrace     = errors.New("sql: rotate: grace is negative")
)

// Check reports what is wrong with the fields. It asks no server.
func (st *Store) Check() error {
	if st == nil {
		return errNoStore
	}
	st.once.Do(func() { st.invalid = st.init() })
	return st.invalid
}

func (st *Store) init() error {
	if st.DB == nil {
		return errNoDB
	}
	d, err := st.Dialect.of(st.DB)
	if err != nil {
		return err
	}
	names, err := d.names(st.Prefix)
	if err != nil {
		return err
	}
	idle, absolute, err := lifetime.Of(st.IdleTimeout, st.AbsoluteTimeout)
	switch {
	case err != nil:
		return fmt.Errorf("sql: %w", err)
	case st.OpTimeout < 0:
		return fmt.Errorf("sql: OpTimeout %v is negative", st.OpTimeout)
	}
	st.dialect, st.idle, st.absolute, st.opTimeout = d, idle.Microseconds(), absolute.Microseconds(), st.OpTimeout
	if st.opTimeout == 0 {
		st.opTimeout = defaultOpTimeout
	}
	st.migrating = make(chan struct{}, 1)
	if d.oneWriter {
		st.writer = make(chan struct{}, 1)
	}
	st.translate(d, names)
	return nil
}

// begin is the start of every call. It bounds the call in time; the caller must call
// cancel.
func (st *Store) begin(ctx context.Context) (bounded context.Context, cancel context.CancelFunc, err error) {
	if err := st.Check(); err != nil {
		return nil, nil, err
	}
	if err := ended(ctx); err != nil {
		return nil, nil, err
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}, nil
	}
	bounded, cancel = context.WithTimeout(ctx, st.opTimeout)
	return bounded, cancel, nil
}

func ended(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// Generate makes an empty session, see [session.Store]. An id is 1 to 128 characters
// of A-Z, a-z, 0-9, '-' and '_'. A database without room on its disk is
// [session.ErrFull].
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil, session.ErrInvalidID
	}
	secret := token.NewSecret()
	r := &record{id: id, incarnation: newIncarnation(), idle: st.idle, secrets: token.Secrets{Newest: token.Hash(secret)}}
	for {
		made, err := st.create(ctx, r)
		if err != nil {
			return nil, err
		}
		if made {
			break
		}
		// A session that has expired may hold the id still.
		n, err := st.exec(ctx, nil, opBury, id)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, session.ErrExists
		}
	}
	st.tidy(ctx)
	return st.object(r, token.Join(id, secret), 0), nil
}

// create stores a record that is new, and notes when that was. made is false where
// there is a record of this id.
func (st *Store) create(ctx context.Context, r *record) (made bool, err error) {
	s := &st.statements[opCreate]
	var at number
	err = st.alone(ctx, opCreate, func() error {
		args := s.args([]any{r.id, r.incarnation, r.secrets.Newest[:], r.idle, st.absolute})
		if !st.dialect.insertID {
			return st.read(ctx, nil, s, one(&at), args)
		}
		_, id, err := st.write(ctx, nil, s, args)
		if st.duplicate(err) {
			err = nil
		}
		at = number(id)
		return err
	})
	r.created, r.seen, r.ends = int64(at), int64(at), int64(at)+st.absolute
	return at != 0, err
}

// duplicate reports whether an error means that there is such a row already.
func (st *Store) duplicate(err error) bool {
	return err != nil && slices.Contains(st.dialect.duplicate, st.code(err))
}

// Open loads the session of a token, see [session.TokenStore]. It is one query, and a
// statement more when the token is not the newest, or seen for the first time. It tells
// why a token that was good once is so no more: [session.ErrReused] of the last seven
// that rotations have replaced, since the last login; [session.ErrExpiredIdle] and
// [session.ErrExpiredAbsolute] until the row was removed.
func (st *Store) Open(ctx context.Context, carried string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return st.present(ctx, carried, func(*record, *token.Match, int64) error { return nil })
}

// Rotate renews the token of a session, see [session.TokenStore]. At most 64 old
// tokens of a session are kept; a rotation beyond that returns the token that is the
// newest already. What becomes of the old token is kept as a salt that means nothing
// to who does not hold that token.
func (st *Store) Rotate(ctx context.Context, carried string, grace time.Duration) (session.Session, error) {
	if grace < 0 {
		return nil, errGrace
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	_, presented, _ := token.Parse(carried)
	s, err := st.present(ctx, carried, func(r *record, m *token.Match, now int64) error {
		if m.Newest == presented { // else somebody else was first
			m.Newest, m.Changed = r.secrets.Rotate(presented, min(grace, lifetime.Max).Microseconds(), now), true
		}
		return nil
	})
	if errors.Is(err, session.ErrNotFound) {
		err = session.ErrNotFound // why is for Open to tell
	}
	return s, err
}

// present authenticates a token, and lets renew say which secret the client carries from
// now on.
func (st *Store) present(ctx context.Context, carried string, renew func(r *record, m *token.Match, now int64) error) (session.Session, error) {
	id, secret, ok := token.Parse(carried)
	if !ok {
		return nil, session.ErrNotFound
	}
	var m token.Match
	r, err := st.change(ctx, opChange, id, nil, func(r *record, now int64) (bool, error) {
		var good bool
		m, good = r.secrets.Match(secret, now)
		expired := r.expired(now)
		switch {
		case good && expired != nil:
			return false, expired
		case expired == nil && !good && r.secrets.Reused(secret):
			if token.Bound(secret) {
				return false, session.ErrUnproved
			}
			return false, session.ErrReused
		case !good:
			return false, session.ErrNotFound
		}
		err := renew(r, &m, now)
		return m.Changed, err
	})
	if err != nil {
		return nil, err
	}
	return st.object(r, token.Join(id, m.Newest), m.Ends), nil
}

// Get loads a session by its id, see [session.Store].
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil, session.ErrNotFound
	}
	r, now, err := st.load(ctx, nil, opLoad, id)
	switch {
	case err != nil:
		return nil, err
	case r.expired(now) != nil:
		return nil, session.ErrNotFound
	}
	return st.object(r, "", r.secrets.Ends()), nil
}

// Refresh prolongs a session, see [session.Store].
func (st *Store) Refresh(ctx context.Context, id string) error {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if !token.ValidID(id) {
		return session.ErrNotFound
	}
	n, err := st.exec(ctx, nil, opRefresh, id)
	if err == nil && n == 0 {
		err = session.ErrNotFound
	}
	return err
}

// Remove ends a session, see [session.Store].
func (st *Store) Remove(ctx context.Context, id string) error {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil
	}
	_, err = st.exec(ctx, nil, opRemove, id)
	return err
}
