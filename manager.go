package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session/internal/token"
)

// A Manager logs visitors in and out of a mist application: it joins a [Store],
// where sessions live, with a [Propagator], which carries their identifier.
//
//	manager := &session.Manager{
//		Store:      &memory.Store{},
//		Propagator: &cookie.Propagator{},
//	}
//
// Store and Propagator are required, everything else has a useful zero value.
// Fields must not change after the first use. A Manager works with any
// *mist.Context that has a Request and a ResponseWriter, with or without its
// [Manager.Middleware], and is safe for concurrent use; several may serve one
// process or one request. What is misconfigured is an error from every call,
// and from [Manager.Check] at start-up.
type Manager struct {
	Store
	Propagator

	// CtxSessionKey is the key under which the session of a request is cached in
	// UserValues of its mist context. Empty: "session". A [Session] that the
	// application puts there by hand is the session of that request; put it
	// there behind the Middleware, because mist hands UserValues on to other
	// requests.
	CtxSessionKey string

	// NewID makes the id of a new session, also of the one that a login begins. Nil:
	// a random UUID. If a live session has the id, NewID is asked for another one, at
	// most three times. A login takes ids of 1 to 96 characters, because the store may
	// put something in front; InitSession with a [TokenStore] takes 128.
	NewID func() string

	// RotateGrace is how long an old token stays good after the new one was
	// first seen, see [Manager.RotateSession]. Zero: 30 seconds. At most a day.
	RotateGrace time.Duration

	// RefreshInterval makes RefreshSession do nothing where the session was refreshed
	// less than that ago by the store's clock, so that not every request writes. An
	// idle timeout then comes early, by that much at most. It is never over half
	// of the idle timeout. Zero: RefreshSession writes each time.
	RefreshInterval time.Duration

	// RenewAfter makes RefreshSession rotate the token of a logged-in session when
	// it is that old by the store's clock, so that a stolen one is of use for no
	// longer (15 minutes are common). RefreshSession then loads the session once
	// more. Zero: only RotateSession does.
	RenewAfter time.Duration

	// MaxUserSessions is how many sessions a user may have at once (ASVS 5.0,
	// 7.1.2). One more login is [ErrUserLimit], or ends the oldest of them where
	// EndOldest is true. Without EndOldest a login whose response got lost counts
	// until its idle timeout, and may lock its user out. Zero: no limit.
	MaxUserSessions int
	EndOldest       bool

	// DeviceBound binds logins to their device, where the browser can (Device Bound
	// Session Credentials, a draft of the W3C): a token is then good for that long, and
	// the browser gets another by proving that it holds the device's key. A stolen token
	// is worth minutes. 10 minutes are common; under 5, browsers soon refuse to sign
	// so often. The next login of the session ends the binding, and makes another.
	// Browsers that cannot do it keep an ordinary token. At DevicePath, mount
	// [github.com/mist-contrib/session/dbsc.Handler]. It needs a [DeviceStore] and a
	// [Bindable] cookie. Between a second and a day; zero: nothing is bound.
	DeviceBound time.Duration

	// DevicePath is the path under which browsers find the handler of DeviceBound. Empty:
	// "/dbsc".
	DevicePath string

	// ClientIP finds the address of a client, for [Info].Address. Nil: that of
	// the connection. Behind a proxy that is the proxy's: set it then, and believe
	// no header that a client can write (ASVS 5.0, 4.1.3).
	ClientIP func(req *http.Request) netip.Addr

	// OnEvent is told what happens to sessions, and what was refused, for logs
	// and alarms (ASVS 5.0, 16.3). It is called by many goroutines at once, 64 at
	// most. A request waits for its call to begin and to return, 50 milliseconds
	// in all. An event whose call could not begin by then is dropped; as soon as
	// a call returns, an [EventDropped] tells how many were. A panic of OnEvent
	// is dropped. Nil: nobody is told, at no cost. See [LogEvents].
	OnEvent func(ctx context.Context, event Event)

	// ErrorHandler answers the requests that [Manager.RequireSession] and the
	// other guards refuse; err matches [ErrNotFound] when nobody is logged in,
	// [ErrReauthenticate], [ErrForged], [http.MaxBytesError] when a form is too
	// large, [ErrUnbound], and is another error when it could not be found out. Nil:
	// 401, 403, 403, 413, 403 and 503 without a body.
	ErrorHandler func(ctx *mist.Context, err error)

	checked atomic.Pointer[capabilities] // of the store, since Check has passed
	clock   storeClock

	hooksOnce sync.Once
	hooks     chan struct{} // a place for each call of OnEvent that has not returned
	dropped   atomic.Int64  // events that OnEvent has not been told of, nor of their number
}

const (
	defaultCtxSessionKey = "session"
	defaultRotateGrace   = 30 * time.Second
	maxRotateGrace       = 24 * time.Hour

	// cleanupTimeout bounds the removal of a session that no client will ever
	// name, on a context that the client's leaving does not end.
	cleanupTimeout = 5 * time.Second

	// maxPlainID is the length of the longest id of a plain store that is
	// looked up, in bytes.
	maxPlainID = 256
)

var (
	errNoManager  = errors.New("session: Manager is nil")
	errNoContext  = errors.New("session: *mist.Context is nil")
	errNilContext = errors.New("session: context is nil")
	errMalformed  = fmt.Errorf("%w: malformed identifier", ErrNotFound)
	errNoRequest  = errors.New("session: Context.Request is nil")
	errNoWriter   = errors.New("session: Context.ResponseWriter is nil")
	errNoSession  = errors.New("session: Store returned neither a session nor an error")

	errNoToken     = errors.New("session: a session of a TokenStore has no token; a wrapper of sessions needs Unwrap")
	errHiddenStore = errors.New("session: a Store that is no TokenStore issues tokens; a wrapper of stores needs Unwrap")
)

// InitSession makes a new, anonymous session and gives its identifier to the
// client. [Manager.Login] is what logs a user in; with a store that knows no users
// this is, and a value says who it is. It always makes a new one, also when the
// request has one already, so an identifier that somebody planted stays worthless
// (ASVS 5.0, 7.2.4). An earlier session lives on; Store.Remove ends it by its id. A
// [ClientStore] cannot do that.
//
// The Set-Cookie is in the response header when it returns, so it comes before
// anything that writes the response; behind the Middleware it is
// [ErrHeaderWritten] where that came first. When the store fails nothing else
// happens; when the identifier cannot be injected the session is removed again.
// [ErrExists] after four ids that were all taken. [ErrMultiple]: so said GetSession
// for this request, and nothing was made, because the next request would be refused
// in the same way. Other errors are the store's and the propagator's.
func (m *Manager) InitSession(ctx *mist.Context) (Session, error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, err
	}
	if m.headerWritten(ctx) {
		return nil, ErrHeaderWritten
	}
	if m.entry(ctx).ambiguous() {
		return nil, ErrMultiple
	}
	reqctx := m.context(ctx)
	s, err := m.generate(reqctx)
	if err != nil {
		return nil, m.failed(reqctx, err)
	}
	if err := m.hand(ctx, s); err != nil {
		return nil, err
	}
	m.emit(reqctx, m.about(EventCreated, s))
	return s, nil
}

// hand gives a new session, or one with a new token and no old one, to the client
// and to the request. One that cannot be given is ended, because no client will
// ever name it.
func (m *Manager) hand(ctx *mist.Context, s Session) error {
	e := m.entry(ctx)
	carried, err := m.carried(s)
	if err == nil && e.response == nil { // else it was given to the client when it began
		err = m.inject(ctx, s, carried)
	}
	if err != nil {
		return m.abandon(m.context(ctx), s, err)
	}
	e.put(ctx, s, carried)
	m.offer(ctx, s, carried)
	return nil
}

// abandon ends a session that nobody got because of err.
func (m *Manager) abandon(ctx context.Context, s Session, err error) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return errors.Join(err, m.Store.Remove(cleanup, s.ID()))
}

// GetSession returns the session of the request. It asks the store at most
// once, also when several goroutines of one handler ask at the same time, and
// then gives the same Session to all of them. An error of the store, too, is the
// answer for the rest of the request. It neither prolongs the session nor touches
// the response, except when a [ClientStore] replaces a token of an old key, and when
// a request carries two identifiers and the propagator is a [Forgetter]; behind the
// Middleware that happens when the header goes out.
//
// [ErrNotFound]: nobody is logged in. Any other error: it could not be found
// out, and the visitor must not be treated as logged out. A request without an
// identifier, or with a malformed one, never reaches the store.
func (m *Manager) GetSession(ctx *mist.Context) (Session, error) {
	if err := m.usable(ctx, false); err != nil {
		return nil, err
	}
	e := m.entry(ctx)
	if s := e.cached(ctx); s != nil {
		return s, nil
	}
	s, err := e.load(e.context(ctx.Request.Context(), ctx), ctx.Request, ctx)
	if err != nil && e.writer == nil {
		e.forget(ctx.ResponseWriter, ctx.Request)
	}
	return s, err
}

// open asks the store for the session of an identifier.
func (m *Manager) open(ctx context.Context, carried string) (s Session, err error) {
	if ts, ok := m.tokenStore(); ok {
		s, err = ts.Open(ctx, carried)
	} else {
		s, err = m.Store.Get(ctx, carried)
	}
	if err == nil && s == nil {
		err = errNoSession
	}
	return s, err
}

// extract returns the identifier that a request carries, its shape checked, so
// that nothing else ever reaches a store (ASVS 5.0, 2.2.1).
func (e *entry) extract(req *http.Request) (string, error) {
	m, p := e.manager, e.manager.Propagator
	if e.response != nil {
		p = e.propagator
	}
	carried, err := p.Extract(req)
	if err != nil {
		return "", err
	}
	var valid bool
	if _, tokens := m.tokenStore(); tokens {
		valid = m.validToken(carried)
	} else {
		valid = validPlainID(carried)
	}
	if !valid {
		return "", errMalformed
	}
	return carried, nil
}

// RemoveSession ends the session of the request: it logs the user out. When it
// returns nil the session is dead for every request, also those under way, and
// the response tells the client to forget the identifier.
//
// Errors as for GetSession, and then nothing has happened; those of the store,
// and then the client is left alone, because the session may be alive. After
// [ErrHeaderWritten] or another error of the propagator the session is dead,
// but the client still carries its identifier. Whether a session of a [ClientStore] is dead
// for those who carry a copy, the store says.
func (m *Manager) RemoveSession(ctx *mist.Context) error {
	if err := m.usable(ctx, true); err != nil {
		return err
	}
	s, err := m.GetSession(ctx)
	if err != nil {
		return err
	}
	if err := m.Store.Remove(m.context(ctx), s.ID()); err != nil {
		return m.failed(ctx.Request.Context(), err)
	}
	m.entry(ctx).drop(ctx)
	m.emit(ctx.Request.Context(), m.about(EventRemoved, s))
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	return m.entry(ctx).through(ctx.Request).Remove(ctx.ResponseWriter)
}

// carried returns what the client of s carries. Where the store issues tokens it
// is a token and never an id, or whoever knows the id would be let in; where it
// does not, a session that has one is of a store whose tokens nothing can open.
func (m *Manager) carried(s Session) (string, error) {
	c := Token(s)
	if _, tokens := m.tokenStore(); !tokens {
		if c != s.ID() {
			return "", errHiddenStore
		}
	} else if !m.validToken(c) {
		return "", errNoToken
	}
	return c, nil
}

// inject gives the client of s its identifier. A persistent session's is kept for
// as long as it can live.
func (m *Manager) inject(ctx *mist.Context, s Session, carried string) error {
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	e := m.entry(ctx)
	return e.inject(ctx.ResponseWriter, e.through(ctx.Request), s, carried)
}

func (e *entry) inject(w http.ResponseWriter, p Propagator, s Session, carried string) error {
	info, err := Describe(s)
	bound := err == nil && !info.ProvedUntil.IsZero()
	if err != nil || !info.Persistent && !bound {
		return p.Inject(carried, w)
	}
	k, ok := unwrap[Keeper](p)
	if !ok {
		return unsupported("Login.Persistent")
	}
	if bound {
		return k.InjectFor(carried, boundMaxAge(info.ProvedUntil.Sub(info.RotatedAt)), w)
	}
	// What is left is the difference of two times of the store; it just wrote the
	// later of these.
	left := min(info.AbsoluteDeadline.Sub(info.LastSeen), info.AbsoluteDeadline.Sub(info.RotatedAt))
	if e.response != nil { // there it may have been long ago
		left = time.Until(info.AbsoluteDeadline)
	}
	return k.InjectFor(carried, max(left, time.Second), w)
}

// tokenStore returns the store's capability to open sessions by token. There is
// no fallback from it: where a store issues tokens, an id opens nothing.
func (m *Manager) tokenStore() (TokenStore, bool) {
	ts := m.capabilities().tokens
	return ts, ts != nil
}

// validToken reports whether carried has the shape of the store's tokens.
func (m *Manager) validToken(carried string) bool {
	if cs := m.capabilities().client; cs != nil {
		return cs.ValidToken(carried)
	}
	_, _, ok := token.Parse(carried)
	return ok
}

func (m *Manager) ctxSessionKey() string {
	if m.CtxSessionKey == "" {
		return defaultCtxSessionKey
	}
	return m.CtxSessionKey
}

// validPlainID reports whether id is one that a request could carry to a plain
// store.
func validPlainID(id string) bool {
	return len(id) <= maxPlainID && token.CookieValue(id)
}
