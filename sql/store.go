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

// A Store keeps sessions in a PostgreSQL, MySQL, MariaDB or SQLite database. DB is required;
// every other field has a safe zero value. A Store is safe for concurrent use. Its fields must
// not change after the first call. [Store.Migrate] creates its tables.
//
// A read is one query, and a write is one statement. A write checks in the same statement that
// its session still exists. All times come from the clock of the database; for SQLite, from the
// clock of the process. The store starts no goroutine and does not close the DB.
//
// A Store has all capabilities: it is a [session.DeviceStore], and its sessions implement every
// optional interface of package session.
//
// Some errors match an error of package session. Any other error means that the database failed
// or could not be reached. It never means that the user is logged out. A write that fails with
// such an error may or may not have been applied. [errors.Is] and [errors.As] find the errors
// of the driver and of the context. The text contains only the code of a server's answer,
// because servers repeat in it what they were sent.
type Store struct {
	// DB is the database. It must not read from replicas.
	DB *sql.DB

	// Dialect is the SQL that the database speaks. Zero: the store derives it from the driver of
	// DB, if the package documentation names that driver.
	Dialect Dialect

	// Prefix is the beginning of the names of the store's tables and indexes. Empty: "session_".
	// It has at most 32 lower-case letters, digits and underscores. On PostgreSQL and MySQL, the
	// name of a schema and a dot may precede it.
	//
	// Each application that shares a database needs its own prefix. So does each tenant: nothing
	// else separates sessions and users, so one store serves one tenant.
	Prefix string

	// IdleTimeout ends a session this long after its last refresh. Zero: 30 minutes, or
	// AbsoluteTimeout if that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout ends a session this long after its creation or its last login, even if it is
	// in use. Zero: 12 hours. At most 400 days. A session keeps the timeouts that it was created
	// with until a login replaces them.
	AbsoluteTimeout time.Duration

	// OpTimeout bounds a call whose context has no deadline, including the function passed to
	// Update. Zero: five seconds. After that time the call fails with an error that matches
	// [context.DeadlineExceeded].
	OpTimeout time.Duration

	once       sync.Once
	invalid    error
	dialect    *dialect
	statements [opCount]statement
	idle       int64 // microseconds, like all times
	absolute   int64
	opTimeout  time.Duration
	cleanup    time.Duration // zero: defaultCleanup and sweepPatience; a test may set it
	writer     chan struct{} // the writer holds it; nil if the dialect allows several writers
	migrating  chan struct{} // the call that creates the tables holds it
	calls      atomic.Uint32 // the number of calls that created a session
	swept      atomic.Int64  // where the next sweep of these calls begins, see dialect
}

const defaultOpTimeout = 5 * time.Second

var _ session.DeviceStore = (*Store)(nil)

var (
	errNoStore   = errors.New("sql: Store is nil")
	errNoDB      = errors.New("sql: DB is nil")
	errNoContext = errors.New("sql: context is nil")
	errGrace     = errors.New("sql: rotate: grace is negative")
)

// Check returns an error if a field is invalid. It asks no server.
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

// begin starts every call. It gives the call a deadline; the caller must call cancel.
func (st *Store) begin(ctx context.Context) (bounded context.Context, cancel context.CancelFunc, err error) {
	if err := st.Check(); err != nil {
		return nil, nil, err
	}
	if err := contextError(ctx); err != nil {
		return nil, nil, err
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}, nil
	}
	bounded, cancel = context.WithTimeout(ctx, st.opTimeout)
	return bounded, cancel, nil
}

func contextError(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// Generate creates an empty session, see [session.Store]. An id has 1 to 128 characters of A-Z,
// a-z, 0-9, '-' and '_'. If the disk of the database is full, Generate fails with
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
		// An expired session may still hold the id.
		n, err := st.exec(ctx, nil, opRemoveExpired, id)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, session.ErrExists
		}
	}
	st.tidy(ctx)
	return st.newRequestSession(r, token.Join(id, secret), 0), nil
}

// create stores a new record and sets its times. made is false if a record with this id exists.
func (st *Store) create(ctx context.Context, r *record) (made bool, err error) {
	s := &st.statements[opCreate]
	var at number
	err = st.retryWrite(ctx, opCreate, func() error {
		args := s.args([]any{r.id, r.incarnation, r.secrets.Newest[:], r.idle, st.absolute})
		if !st.dialect.insertID {
			return st.read(ctx, nil, s, scanRow(&at), args)
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

// duplicate reports whether an error means that the row exists already.
func (st *Store) duplicate(err error) bool {
	return err != nil && slices.Contains(st.dialect.duplicate, st.code(err))
}

// Open loads the session of a token, see [session.TokenStore]. It sends one query. It sends
// another statement if the token is not the newest, or is used for the first time. It reports
// why a formerly valid token no longer works. It fails with [session.ErrReused] for the last
// seven tokens that rotations have replaced since the last login. It fails with
// [session.ErrExpiredIdle] or [session.ErrExpiredAbsolute] until the row is removed.
func (st *Store) Open(ctx context.Context, clientToken string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return st.authenticate(ctx, clientToken, func(*record, *token.Match, int64) error { return nil })
}

// Rotate renews the token of a session, see [session.TokenStore]. A session keeps at most 64
// old tokens; a rotation beyond that returns the current newest token. The store can derive a
// new token only from the old one and a stored salt. The salt is useless without the old token.
func (st *Store) Rotate(ctx context.Context, clientToken string, grace time.Duration) (session.Session, error) {
	if grace < 0 {
		return nil, errGrace
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	_, presented, _ := token.Parse(clientToken)
	s, err := st.authenticate(ctx, clientToken, func(r *record, m *token.Match, now int64) error {
		if m.Newest == presented { // otherwise another call was first
			m.Newest, m.Changed = r.secrets.Rotate(presented, min(grace, lifetime.Max).Microseconds(), now), true
		}
		return nil
	})
	if errors.Is(err, session.ErrNotFound) {
		err = session.ErrNotFound // only Open reports the reason
	}
	return s, err
}

// authenticate authenticates a token. renew sets the secret that the client has from now on.
func (st *Store) authenticate(ctx context.Context, clientToken string, renew func(r *record, m *token.Match, now int64) error) (session.Session, error) {
	id, secret, ok := token.Parse(clientToken)
	if !ok {
		return nil, session.ErrNotFound
	}
	var m token.Match
	r, err := st.change(ctx, opChange, id, nil, func(r *record, now int64) (bool, error) {
		var good bool
		m, good = r.secrets.Match(secret, now)
		switch expired := r.expired(now); {
		case good && expired == nil:
			err := renew(r, &m, now)
			return m.Changed, err
		case good:
			return false, expired
		case expired != nil || !r.secrets.Reused(secret):
			return false, session.ErrNotFound
		case token.Bound(secret):
			return false, session.ErrUnproved
		}
		return false, session.ErrReused
	})
	if err != nil {
		return nil, err
	}
	return st.newRequestSession(r, token.Join(id, m.Newest), m.Ends), nil
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
	return st.newRequestSession(r, "", r.secrets.Ends()), nil
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
