// Package sealed stores each session encrypted at its client. The server keeps no session. It
// suits applications that need no other server, such as a database.
//
//	m := &session.Manager{
//		Store:      &sealed.Store{Keys: keys},
//		Propagator: &cookie.Propagator{},
//	}
//
// The server keeps only the keys. A client's cookie is its session, until the deadline. Without
// a key nobody can read, change or make one. Within a request all features of package session
// work, including typed keys, flash messages, CSRF tokens and logins. With [session.Manager]
// Middleware, the response sets the cookie once for all writes of a request, before the header
// goes out. A later write fails with [session.ErrHeaderWritten]. Without Middleware each write
// sets the cookie again. Then only the handler's goroutine may write, and a write after the
// header is lost.
//
// # What this store cannot promise
//
//   - If two requests write at the same time, the writes of one are lost: the last response
//     wins. The same happens if one of them logs in, rotates, refreshes, or replaces a seal of
//     an old key.
//   - A copied cookie works until its deadline, even after a logout, a rotation or a login. For
//     sessions of users, Revoked and Revoke prevent this.
//   - An old cookie brings back old values: a counter, a cart, a flash message that was shown,
//     a CSRF secret. Keep data in a store on the server if it must count only once (a payment,
//     a vote, a coupon) or must not go back (a balance, a limit).
//   - Nobody can list the sessions. UserSessions, RemoveUserSession and a limit of sessions
//     fail with [errors.ErrUnsupported].
//   - The session must fit into a cookie of 4096 bytes, with its name and attributes. A larger
//     write fails with [session.ErrTooLarge] and changes nothing.
//   - The store uses the server's clock. The clocks of all servers must agree.
//
// If one of these points matters, use another store. The rest of the application stays the
// same.
package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
)

// A Store seals and opens sessions, and keeps none. Keys is required. A Store is safe for
// concurrent use; its fields must not change after the first call. Keep a pointer to it: as a
// value inside another struct, printing would show its keys.
//
// It is a [session.ClientStore] and a [session.UserStore], and its sessions support everything
// that package session describes, within the limits that the package documentation lists.
// Without a Manager, [session.Token] returns the current seal of a session.
type Store struct {
	// Keys are random keys of at least 32 bytes each, see [NewKey] and [ParseKeys]. The first key
	// seals; every key opens. To change the key, put a new one first on every server. Remove the
	// old key when all of its sessions have ended. If servers with old and new configuration run
	// at the same time, first add the new key behind the old one on all of them. A session whose
	// key was removed fails with [session.ErrNotFound].
	//
	// The store replaces a seal of an old key when a client sends it.
	Keys [][]byte `json:"-"`

	// IdleTimeout is how long a session lives after its last refresh. Zero: 30 minutes, or
	// AbsoluteTimeout if that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long a session lives at most after its creation or last login.
	// Zero: 12 hours. At most 400 days. Each seal contains both timeouts, so a new value applies
	// only to new sessions.
	AbsoluteTimeout time.Duration

	// Purpose is part of what each seal authenticates, like the name of the cookie or header that
	// carries it. A seal does not open under another purpose or name. Set different purposes for
	// applications that share keys. At most 256 bytes.
	Purpose string

	// Revoked reports whether the session of a user was ended before its deadline. The store calls
	// it when it opens such a session, and before each write. If Revoked fails, the call fails
	// with that error, and nobody is logged out. For a login, Revoked reports whether User was
	// signed out since AuthenticatedAt; ID is then empty. Revoked and Revoke must not use the
	// session of the request, because it waits for them. Nil: no session ends early. [Revocations]
	// implements this in memory.
	Revoked func(ctx context.Context, info session.Info) (bool, error) `json:"-"`

	// Revoke records that sessions of users have ended, so that Revoked knows. With it, a logout
	// or a new login ends earlier seals, and RemoveUserSessions and PasswordChanged work. Nil: a
	// logout only makes the client forget its seal, and RemoveUserSessions fails with
	// [errors.ErrUnsupported].
	Revoke func(ctx context.Context, r Revocation) error `json:"-"`

	once           sync.Once
	invalid        error
	sealers        []sealer
	idle, absolute time.Duration
}

const (
	maxPurpose = 256

	// maxSkew is how far the clock of another server may be ahead. A seal from later in the future
	// does not open, because it would outlive its deadlines.
	maxSkew = time.Minute
)

var (
	_ session.UserStore = (*Store)(nil)

	errNoStore   = errors.New("sealed: Store is nil")
	errNoContext = errors.New("sealed: context is nil")
	errGrace     = errors.New("sealed: rotate: grace is negative")
	errRoom      = fmt.Errorf("%w: no room for the session on the client", session.ErrTooLarge)
)

// Check returns an error if a field is invalid. The error contains no key, only its position.
func (st *Store) Check() error {
	if st == nil {
		return errNoStore
	}
	st.once.Do(func() { st.invalid = st.init() })
	return st.invalid
}

func (st *Store) init() (err error) {
	if st.idle, st.absolute, err = lifetime.Of(st.IdleTimeout, st.AbsoluteTimeout); err != nil {
		return fmt.Errorf("sealed: %w", err)
	}
	switch {
	case len(st.Purpose) > maxPurpose:
		return fmt.Errorf("sealed: Purpose is over %d bytes", maxPurpose)
	case st.Revoke != nil && st.Revoked == nil:
		return errors.New("sealed: Revoke is set, but Revoked is nil")
	}
	if err := checkKeys(st.Keys); err != nil {
		return err
	}
	for _, key := range st.Keys {
		s, err := newSealer(key)
		if err != nil {
			return fmt.Errorf("sealed: keys: %w", err)
		}
		st.sealers = append(st.sealers, s)
	}
	return nil
}

// Format prints no key, for every verb.
func (st *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sealed.Store") }

// begin starts every call.
func (st *Store) begin(ctx context.Context) error {
	if err := st.Check(); err != nil {
		return err
	}
	return contextError(ctx)
}

// lockRequest locks the request of a call, and returns the time after the wait. The caller
// must unlock it.
func (st *Store) lockRequest(ctx context.Context) (req *request, now int64, err error) {
	req = st.request(ctx)
	err = req.lock(ctx)
	return req, time.Now().UnixNano(), err
}

func contextError(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// withoutReason removes the reason from an error that matches ErrNotFound. Only Open reports it.
func withoutReason(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return session.ErrNotFound
	}
	return err
}

func unsupported(call string) error {
	return fmt.Errorf("sealed: %s: %w", call, errors.ErrUnsupported)
}

// Generate creates an empty session, see [session.Store]. An id has 1 to 128 characters of A-Z,
// a-z, 0-9, '-' and '_'. Generate cannot detect that another session has the same id.
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if !token.ValidID(id) {
		return nil, session.ErrInvalidID
	}
	req, now, err := st.lockRequest(ctx)
	if err != nil {
		return nil, err
	}
	defer req.unlock()
	s := newState(facts{
		id: id, created: now, rotated: now, seen: now, idle: int64(st.idle), absolute: int64(st.absolute),
	})
	if err := req.fits(s, s.spare()); err != nil {
		return nil, err
	}
	if err := req.deliverNew(s); err != nil {
		return nil, err
	}
	return req.makeCurrent(s), nil
}

// Open loads the session in a seal, see [session.TokenStore]. For a formerly valid seal it
// fails with [session.ErrExpiredIdle] or [session.ErrExpiredAbsolute].
func (st *Store) Open(ctx context.Context, seal string) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	req, _, err := st.lockRequest(ctx)
	if err != nil {
		return nil, err
	}
	defer req.unlock()
	r, err := req.open(ctx, seal)
	if err != nil {
		return nil, err
	}
	return req.newRequestSession(r), nil
}

// Rotate seals the session again, see [session.TokenStore]. It ignores grace: the store does
// not remember the old seal, which stays valid until its deadline.
func (st *Store) Rotate(ctx context.Context, seal string, grace time.Duration) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if grace < 0 {
		return nil, errGrace
	}
	req, now, err := st.lockRequest(ctx)
	if err != nil {
		return nil, err
	}
	defer req.unlock()
	r, err := req.open(ctx, seal)
	if err == nil && r != req.current {
		err = session.ErrNotFound
	}
	if err != nil {
		return nil, withoutReason(err)
	}
	next := r.state.facts
	next.rotated = max(now, next.rotated+1)
	if err := req.commit(r, newState(next), 0); err != nil {
		return nil, err
	}
	return req.newRequestSession(r), nil
}

// Refresh prolongs the session of the request, see [session.Store]. For any other session it
// fails with [session.ErrNotFound]. Without a Manager it fails with [errors.ErrUnsupported],
// because it cannot give the client a new seal.
func (st *Store) Refresh(ctx context.Context, id string) error {
	if err := st.begin(ctx); err != nil {
		return err
	}
	req, now, err := st.lockRequest(ctx)
	if err != nil {
		return err
	}
	defer req.unlock()
	if req.delivery == nil && token.ValidID(id) {
		return unsupported("Refresh of an id")
	}
	r := req.current
	if r == nil || r.state.id != id {
		return session.ErrNotFound
	}
	if err := req.alive(ctx, r); err != nil {
		return withoutReason(err)
	}
	next := r.state.facts
	next.seen = max(now, next.seen)
	return req.commit(r, newState(next), 0)
}

// Remove ends a session, see [session.Store]. If the session has a user and Revoke is set, none
// of its seals opens afterwards. Otherwise a copy of its seal works until the deadline. An
// anonymous session contains only what its own client stored in it. If the id is not that of
// the request's session, Revoke records it for 400 days; without Revoke, Remove fails with
// [errors.ErrUnsupported].
func (st *Store) Remove(ctx context.Context, id string) error {
	if err := st.begin(ctx); err != nil || !token.ValidID(id) {
		return err
	}
	req, now, err := st.lockRequest(ctx)
	if err != nil {
		return err
	}
	defer req.unlock()
	r := req.record(id)
	switch {
	case slices.Contains(req.endedIDs, id):
		return nil
	case r == nil && st.Revoke == nil:
		return unsupported("Remove of an id")
	case r == nil:
		return st.Revoke(ctx, Revocation{ID: id, Until: at(now).Add(lifetime.Max)})
	case r.state.user != "" && st.Revoke != nil:
		// A concurrent reauthentication restarts the absolute timeout.
		_, absolute := r.state.deadlines()
		until := at(max(absolute, now+r.state.absolute)).Add(maxSkew)
		if err := st.Revoke(ctx, Revocation{ID: id, Until: until}); err != nil {
			return err
		}
	}
	req.markEnded(id)
	return nil
}

// Get returns the session of the request, see [session.Store]. For any other session it fails
// with [errors.ErrUnsupported], because only the clients have them.
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if !token.ValidID(id) {
		return nil, session.ErrNotFound
	}
	req, _, err := st.lockRequest(ctx)
	if err != nil {
		return nil, err
	}
	defer req.unlock()
	r := req.current
	if r == nil || r.state.id != id {
		return nil, unsupported("Get of an id")
	}
	if err := req.alive(ctx, r); err != nil {
		return nil, withoutReason(err)
	}
	return req.newRequestSession(r), nil
}
