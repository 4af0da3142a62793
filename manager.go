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

// A Manager logs visitors in and out of a mist application. It joins a [Store], which keeps
// sessions, with a [Propagator], which carries their identifier.
//
//	manager := &session.Manager{
//		Store:      &memory.Store{},
//		Propagator: &cookie.Propagator{},
//	}
//
// Store and Propagator are required; every other field has a useful zero value. Fields must
// not change after the first use. A Manager is safe for concurrent use. It works with any
// *mist.Context that has a Request and a ResponseWriter, with or without
// [Manager.Middleware]. Several managers may serve one process or one request. A
// misconfigured Manager returns an error from every call. [Manager.Check] reports it at
// start-up.
type Manager struct {
	Store
	Propagator

	// CtxSessionKey is the key in UserValues of the mist context that caches the request's
	// session. Empty: "session". If the application puts a [Session] there, that is the
	// session of the request. Do it behind the Middleware, because mist passes UserValues
	// on to other requests. A session of mist's own package does not count.
	CtxSessionKey string

	// NewID makes the id of every new session, also in a login. Nil: a random UUID. If a
	// live session has the id, the Manager calls NewID again, at most three times. A login
	// takes ids of 1 to 96 characters, because the store may add a prefix. InitSession
	// with a [TokenStore] takes up to 128.
	NewID func() string

	// RotateGrace is how long an old token stays valid after the first use of the new one,
	// see [Manager.RotateSession]. Zero: 30 seconds. At most a day.
	RotateGrace time.Duration

	// RefreshInterval makes RefreshSession do nothing if the session was refreshed less
	// than that ago by the store's clock. So not every request writes. An idle timeout may
	// then come early, by at most this interval. The Manager uses at most half of the idle
	// timeout. Zero: RefreshSession writes each time.
	RefreshInterval time.Duration

	// RenewAfter makes RefreshSession rotate the token of a logged-in session when the
	// token is that old by the store's clock. A stolen token then works no longer than
	// that; 15 minutes are common. RefreshSession then loads the session once more. Zero:
	// only RotateSession rotates.
	RenewAfter time.Duration

	// MaxUserSessions is how many sessions a user may have at once (ASVS 5.0, 7.1.2). One
	// more login fails with [ErrUserLimit]. With EndOldest, the session whose last login is
	// the longest ago ends instead. Without EndOldest, a login whose response was lost counts until its
	// idle timeout and may lock the user out. Zero: no limit.
	MaxUserSessions int
	EndOldest       bool

	// DeviceBound binds logins to their device if the browser supports Device Bound
	// Session Credentials (a W3C draft). A token is then valid for this long. The browser
	// gets the next one by proving that it holds the device's key, so a stolen token works
	// for minutes only. 10 minutes are common; under 5, browsers soon refuse to sign so
	// often. The next login of the session ends the binding and makes another. Other
	// browsers keep an ordinary token. Mount
	// [github.com/mist-contrib/session/dbsc.Handler] at DevicePath. DeviceBound needs a
	// [DeviceStore] and a [Bindable] cookie. Between a second and a day; zero: nothing is
	// bound.
	DeviceBound time.Duration

	// DevicePath is the path of the handler for DeviceBound. Empty: "/dbsc".
	DevicePath string

	// ClientIP finds the address of a client, for [Info].Address. Nil: the address of the
	// connection. Set it behind a proxy, and trust no header that a client can write (ASVS
	// 5.0, 4.1.3).
	ClientIP func(req *http.Request) netip.Addr

	// OnEvent receives an [Event] for every change of a session and for every refusal, for
	// logs and alarms (ASVS 5.0, 16.3). Up to 64 goroutines call it at once. A request
	// waits at most 50 milliseconds in all for its call to begin and return. If the call
	// cannot begin by then, the event is dropped. As soon as a call returns, an
	// [EventDropped] reports how many were dropped. A panic of OnEvent is recovered. Nil:
	// no events, at no cost. See [LogEvents].
	OnEvent func(ctx context.Context, event Event)

	// ErrorHandler answers the requests that [Manager.RequireSession] and the other guards
	// refuse. err matches [ErrNotFound] if nobody is logged in, [ErrReauthenticate],
	// [ErrForged], [http.MaxBytesError] if a form is too large, or [ErrUnbound]. Any other
	// error means that the check failed. Nil: 401, 403, 403, 413, 403 and 503 without a
	// body.
	ErrorHandler func(ctx *mist.Context, err error)

	checked atomic.Pointer[capabilities] // of the store; nil until Check has passed
	clock   storeClock

	hooksOnce sync.Once
	hooks     chan struct{} // one element for each running call of OnEvent
	dropped   atomic.Int64  // dropped events that no EventDropped has reported yet
}

const (
	defaultCtxSessionKey = "session"
	defaultRotateGrace   = 30 * time.Second
	maxRotateGrace       = 24 * time.Hour

	// cleanupTimeout limits the removal of a session that no client received. The removal
	// continues after the client has left.
	cleanupTimeout = 5 * time.Second

	// maxPlainID is the largest length in bytes of an id that a plain store is asked for.
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

// InitSession makes a new, anonymous session and gives its identifier to the client. To log
// a user in, call [Manager.Login]. If the store knows no users, call InitSession and keep
// the user in a value. InitSession makes a new session even if the request has one, so an
// identifier that an attacker planted stays worthless (ASVS 5.0, 7.2.4). The earlier
// session lives on; Store.Remove ends it by its id, except in a [ClientStore].
//
// InitSession sets the cookie in the response header before it returns, so call it before
// anything writes the response. Behind the Middleware, a later call fails with
// [ErrHeaderWritten]. If the store fails, nothing else happens. If the identifier cannot be
// injected, the session is removed again. [ErrExists]: four ids in a row were taken.
// [ErrMultiple]: GetSession found two identifiers in this request; no session was made,
// because the next request would be refused too. Other errors are the store's and the
// propagator's.
func (m *Manager) InitSession(ctx *mist.Context) (Session, error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, err
	}
	if m.headerWritten(ctx) {
		return nil, ErrHeaderWritten
	}
	if m.state(ctx).ambiguous() {
		return nil, ErrMultiple
	}
	reqctx := m.context(ctx)
	s, err := m.generate(reqctx)
	if err != nil {
		return nil, m.failed(reqctx, err)
	}
	if err := m.issue(ctx, s); err != nil {
		return nil, err
	}
	m.emit(reqctx, m.eventOf(EventCreated, s))
	return s, nil
}

// issue sends the session's token to the client and caches the session for this request.
// If that fails, it removes the session, because no client could ever use it.
func (m *Manager) issue(ctx *mist.Context, s Session) error {
	st := m.state(ctx)
	identifier, err := m.identifier(s)
	if err == nil && st.response == nil { // else the store has given it to the client
		err = m.inject(ctx, s, identifier)
	}
	if err != nil {
		return m.discard(m.context(ctx), s, err)
	}
	st.setSession(ctx, s, identifier)
	m.offerBinding(ctx, s, identifier)
	return nil
}

// discard removes a session that err kept from reaching the client.
func (m *Manager) discard(ctx context.Context, s Session, err error) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return errors.Join(err, m.Store.Remove(cleanup, s.ID()))
}

// GetSession returns the session of the request. It asks the store at most once: all
// goroutines of one handler get the same Session, or the same error, for the rest of the
// request. GetSession never prolongs the session. It changes the response in two cases
// only: a [ClientStore] replaces a token of an old key, or the request carries two
// identifiers and the propagator is a [Forgetter]. Behind the Middleware that happens when
// the header goes out.
//
// [ErrNotFound]: nobody is logged in. Any other error means that the check failed; do not
// treat the visitor as logged out. A request with a missing or malformed identifier never
// reaches the store.
func (m *Manager) GetSession(ctx *mist.Context) (Session, error) {
	if err := m.usable(ctx, false); err != nil {
		return nil, err
	}
	st := m.state(ctx)
	if s := st.cached(ctx); s != nil {
		return s, nil
	}
	s, err := st.load(st.context(ctx.Request.Context(), ctx), ctx.Request, ctx)
	if err != nil && st.writer == nil {
		st.forgetFormer(ctx.ResponseWriter, ctx.Request)
	}
	return s, err
}

// open asks the store for the session of an identifier.
func (m *Manager) open(ctx context.Context, identifier string) (s Session, err error) {
	if ts, ok := m.tokenStore(); ok {
		s, err = ts.Open(ctx, identifier)
	} else {
		s, err = m.Store.Get(ctx, identifier)
	}
	if err == nil && s == nil {
		err = errNoSession
	}
	return s, err
}

// extract returns the identifier that a request carries. It checks the shape, so a
// malformed one never reaches the store (ASVS 5.0, 2.2.1).
func (st *managerState) extract(req *http.Request) (string, error) {
	m, p := st.manager, st.manager.Propagator
	if st.response != nil {
		p = st.propagator
	}
	identifier, err := p.Extract(req)
	if err != nil {
		return "", err
	}
	var valid bool
	if _, tokens := m.tokenStore(); tokens {
		valid = m.validToken(identifier)
	} else {
		valid = validPlainID(identifier)
	}
	if !valid {
		return "", errMalformed
	}
	return identifier, nil
}

// RemoveSession ends the session of the request: it logs the user out. When it returns nil,
// the session has ended for every request, also for those in progress. The response tells
// the client to forget the identifier.
//
// If it fails with an error of GetSession, nothing has happened. If the store fails, the
// client keeps its identifier, because the session may be alive. After [ErrHeaderWritten]
// or another error of the propagator, the session has ended, but the client still carries
// its identifier. A [ClientStore] documents whether copies of a removed session stop
// working.
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
	m.state(ctx).dropSession(ctx)
	m.emit(ctx.Request.Context(), m.eventOf(EventRemoved, s))
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	return m.state(ctx).propagatorFor(ctx.Request).Remove(ctx.ResponseWriter)
}

// identifier returns the identifier that the client of s carries. If the store issues
// tokens, the client carries a token, never an id: an id is public and must not
// authenticate anyone. If the store issues none, a session with a token is an error,
// because nothing could open it.
func (m *Manager) identifier(s Session) (string, error) {
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

// inject gives the client of s its identifier. The client keeps a persistent one for as
// long as the session can live.
func (m *Manager) inject(ctx *mist.Context, s Session, identifier string) error {
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	st := m.state(ctx)
	return st.inject(ctx.ResponseWriter, st.propagatorFor(ctx.Request), s, identifier)
}

func (st *managerState) inject(w http.ResponseWriter, p Propagator, s Session, identifier string) error {
	info, err := Describe(s)
	bound := err == nil && !info.ProvedUntil.IsZero()
	if err != nil || !info.Persistent && !bound {
		return p.Inject(identifier, w)
	}
	k, ok := unwrap[Persistent](p)
	if !ok {
		return unsupported("Login.Persistent")
	}
	if bound {
		return k.InjectFor(identifier, boundMaxAge(info.ProvedUntil.Sub(info.RotatedAt)), w)
	}
	// Both times are the store's: this machine's clock may differ. The store has just
	// written the later of LastSeen and RotatedAt.
	left := min(info.AbsoluteDeadline.Sub(info.LastSeen), info.AbsoluteDeadline.Sub(info.RotatedAt))
	if st.response != nil { // its last write may have been long ago
		left = time.Until(info.AbsoluteDeadline)
	}
	return k.InjectFor(identifier, max(left, time.Second), w)
}

// tokenStore returns the store as a TokenStore. If a store issues tokens, an id opens
// nothing.
func (m *Manager) tokenStore() (TokenStore, bool) {
	ts := m.capabilities().tokens
	return ts, ts != nil
}

// validToken reports whether identifier has the shape of the store's tokens.
func (m *Manager) validToken(identifier string) bool {
	if cs := m.capabilities().client; cs != nil {
		return cs.ValidToken(identifier)
	}
	_, _, ok := token.Parse(identifier)
	return ok
}

func (m *Manager) ctxSessionKey() string {
	if m.CtxSessionKey == "" {
		return defaultCtxSessionKey
	}
	return m.CtxSessionKey
}

// validPlainID reports whether a request can carry id to a plain store.
func validPlainID(id string) bool {
	return len(id) <= maxPlainID && token.CookieValue(id)
}
