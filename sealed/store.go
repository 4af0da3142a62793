// Package sealed keeps sessions with their clients, encrypted, and none of them on the
// server: for applications that are one program and nothing else.
//
//	m := &session.Manager{
//		Store:      &sealed.Store{Keys: keys},
//		Propagator: &cookie.Propagator{},
//	}
//
// The server holds the keys alone. Whoever has a cookie has a session, until its
// deadline: nobody can read it, change it or make one. Everything of package session
// works within a request, typed keys, flash messages, CSRF tokens and logins among it.
// With [session.Manager] Middleware the cookie is written once for all writes of a
// request, before the header goes out, and a write after that is
// [session.ErrHeaderWritten]. Without it each write sets the cookie anew, so writes are
// for the goroutine of the handler alone, and one after the header is lost.
//
// # What no session of this kind can promise
//
//   - Two requests at once that write lose the writes of one: the last response wins.
//     That also holds where one of them logs in, rotates, refreshes, or replaces a seal
//     of an old key.
//   - A cookie that was copied lives until its deadline, whatever the server does: after a
//     logout, a rotation and a login as well. For sessions of users, Revoked and Revoke
//     close this.
//   - An old cookie brings back old values: a counter, a cart, a flash message that was
//     shown, a CSRF secret. What must happen once (a payment, a vote, a coupon) or must
//     not go back (a balance, a limit) belongs in a store on the server.
//   - Nobody can list the sessions, so UserSessions, RemoveUserSession and a limit of
//     sessions are [errors.ErrUnsupported].
//   - All of it has to fit into a cookie of 4096 bytes with its name and attributes. A
//     write beyond that is [session.ErrTooLarge] and changes nothing.
//   - The clock is that of the server, and those of all servers have to agree.
//
// If any of these matters, use another store; the rest of the application stays as it is.
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

// A Store seals sessions and opens them; it holds none. Keys is required. A Store is safe
// for concurrent use; its fields must not change after the first call. Keep a pointer to
// it: printed as a value inside of another struct it would show its keys.
//
// It is a [session.ClientStore] and a [session.UserStore], and its sessions are all that
// package session describes; see the package for what none of them can promise. Without a
// Manager, [session.Token] of a session is its seal as of now.
type Store struct {
	// Keys are 32 random bytes or more each, see [NewKey] and [ParseKeys]. The first
	// seals, all open. To change the key, put a new one in front on every server, and
	// take the old one out when all sessions of its time have ended. If servers of both
	// kinds run side by side, first add the new key behind the old one everywhere. A
	// session whose key is gone is [session.ErrNotFound].
	//
	// A seal of an old key is replaced as soon as it comes.
	Keys [][]byte `json:"-"`

	// IdleTimeout is how long after its last refresh a session ends. Zero: 30
	// minutes, or AbsoluteTimeout where that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long after it was made a session ends, whatever
	// happens. Zero: 12 hours. At most 400 days. Both timeouts are in the seal, so
	// another value is for sessions to come.
	AbsoluteTimeout time.Duration

	// Purpose is bound into each seal, and so is the name of the cookie or header that
	// carries it: a seal of another purpose or name opens nothing. Give applications
	// that share keys different ones. At most 256 bytes.
	Purpose string

	// Revoked reports whether the session of a user has been ended before its time. It is
	// asked when such a session is opened, and before each of its writes. Its error is
	// the error of that call, and nobody is logged out by it. For a login it is asked
	// whether User was signed out since AuthenticatedAt, and ID is empty. It must not use the
	// session of the request, which waits for its answer; nor must Revoke. Nil: none has.
	// [Revocations] does this in memory.
	Revoked func(ctx context.Context, info session.Info) (bool, error) `json:"-"`

	// Revoke notes that sessions of users have ended, for Revoked to know. With it, a
	// logout and a new login end the seals before, RemoveUserSessions works, and so does
	// PasswordChanged. Nil: a logout makes the client forget its seal and no more, and
	// RemoveUserSessions is [errors.ErrUnsupported].
	Revoke func(ctx context.Context, r Revocation) error `json:"-"`

	once           sync.Once
	invalid        error
	sealers        []sealer
	idle, absolute time.Duration
}

const (
	maxPurpose = 256

	// maxSkew is how far the clock of another server may be ahead. A seal from further
	// in the future opens nothing: it would outlive its deadlines.
	maxSkew = time.Minute
)

var (
	_ session.UserStore = (*Store)(nil)

	errNoStore   = errors.New("sealed: Store is nil")
	errNoContext = errors.New("sealed: context is nil")
	errGrace     = errors.New("sealed: rotate: grace is negative")
	errRoom      = fmt.Errorf("%w: no room for the session on the client", session.ErrTooLarge)
)

// Check reports what is wrong with the fields. It tells nothing of a key but its position.
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
		return errors.New("sealed: Revoke without Revoked, which nobody asks")
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

// Format prints no key, whatever the verb.
func (st *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sealed.Store") }

// begin is the start of every call.
func (st *Store) begin(ctx context.Context) error {
	if err := st.Check(); err != nil {
		return err
	}
	return ended(ctx)
}

// turn waits for the turn of a call in its request, and tells when that is. The caller
// gives it back.
func (st *Store) turn(ctx context.Context) (v *visit, now int64, err error) {
	v = st.visit(ctx)
	err = v.begin(ctx)
	return v, time.Now().UnixNano(), err
}

func ended(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// plain takes from an error why there is no session, which is for Open to tell.
func plain(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return session.ErrNotFound
	}
	return err
}

func unsupported(call string) error {
	return fmt.Errorf("sealed: %s: %w", call, errors.ErrUnsupported)
}

// Generate makes an empty session, see [session.Store]. An id is 1 to 128 characters of
// A-Z, a-z, 0-9, '-' and '_'. Nothing tells whether a session has the id already.
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if !token.ValidID(id) {
		return nil, session.ErrInvalidID
	}
	v, now, err := st.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer v.end()
	s := stated(facts{
		id: id, created: now, rotated: now, seen: now, idle: int64(st.idle), absolute: int64(st.absolute),
	})
	if err := v.fits(s, s.spare()); err != nil {
		return nil, err
	}
	if err := v.give(s); err != nil {
		return nil, err
	}
	return v.enter(s), nil
}

// Open loads the session that a seal holds, see [session.TokenStore]. It tells why a seal
// opens nothing where it was good once: [session.ErrExpiredIdle],
// [session.ErrExpiredAbsolute].
func (st *Store) Open(ctx context.Context, seal string) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	v, _, err := st.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer v.end()
	r, err := v.open(ctx, seal)
	if err != nil {
		return nil, err
	}
	return v.object(r), nil
}

// Rotate seals the session again, see [session.TokenStore]. The old seal is good until its
// deadline, whatever grace is, because nothing remembers it.
func (st *Store) Rotate(ctx context.Context, seal string, grace time.Duration) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if grace < 0 {
		return nil, errGrace
	}
	v, now, err := st.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer v.end()
	r, err := v.open(ctx, seal)
	if err == nil && r != v.current {
		err = session.ErrNotFound
	}
	if err != nil {
		return nil, plain(err)
	}
	next := r.state.facts
	next.rotated = max(now, next.rotated+1)
	if err := v.commit(r, stated(next), 0); err != nil {
		return nil, err
	}
	return v.object(r), nil
}

// Refresh prolongs the session of the request, see [session.Store]. Any other is
// [session.ErrNotFound]; without a Manager it is [errors.ErrUnsupported], because the
// client would not learn of it.
func (st *Store) Refresh(ctx context.Context, id string) error {
	if err := st.begin(ctx); err != nil {
		return err
	}
	v, now, err := st.turn(ctx)
	if err != nil {
		return err
	}
	defer v.end()
	if v.carriage == nil && token.ValidID(id) {
		return unsupported("Refresh of an id")
	}
	r := v.current
	if r == nil || r.state.id != id {
		return session.ErrNotFound
	}
	if err := v.alive(ctx, r); err != nil {
		return plain(err)
	}
	next := r.state.facts
	next.seen = max(now, next.seen)
	return v.commit(r, stated(next), 0)
}

// Remove ends a session, see [session.Store]. Where it is a user's and there is Revoke, no
// seal of it opens from then on. If not, a copy of the seal is good until its deadline; that
// of an anonymous session always, as it holds nothing but what its client put there. Of an
// id that is not the request's nothing is known: Revoke notes it for 400 days; without
// Revoke it is [errors.ErrUnsupported].
func (st *Store) Remove(ctx context.Context, id string) error {
	if err := st.begin(ctx); err != nil || !token.ValidID(id) {
		return err
	}
	v, now, err := st.turn(ctx)
	if err != nil {
		return err
	}
	defer v.end()
	r := v.record(id)
	switch {
	case slices.Contains(v.left, id):
		return nil
	case r == nil && st.Revoke == nil:
		return unsupported("Remove of an id")
	case r == nil:
		return st.Revoke(ctx, Revocation{ID: id, Until: at(now).Add(lifetime.Max)})
	case r.state.user != "" && st.Revoke != nil:
		// A reauthentication at this moment begins the absolute timeout anew.
		_, absolute := r.state.deadlines()
		until := at(max(absolute, now+r.state.absolute)).Add(maxSkew)
		if err := st.Revoke(ctx, Revocation{ID: id, Until: until}); err != nil {
			return err
		}
	}
	v.ended(id)
	return nil
}

// Get returns the session of the request, see [session.Store]. Any other is
// [errors.ErrUnsupported], because only the clients have them.
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if !token.ValidID(id) {
		return nil, session.ErrNotFound
	}
	v, _, err := st.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer v.end()
	r := v.current
	if r == nil || r.state.id != id {
		return nil, unsupported("Get of an id")
	}
	if err := v.alive(ctx, r); err != nil {
		return nil, plain(err)
	}
	return v.object(r), nil
}
