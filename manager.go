package session

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dormoron/mist"
	"github.com/google/uuid"

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

	// NewID makes the id of a new session. Nil: a random UUID. An id that the
	// store has already is replaced by a fresh one, three times.
	NewID func() string

	// RotateGrace is how long an old token stays good after the new one was
	// first seen, see [Manager.RotateSession]. Zero: 30 seconds. At most a day.
	RotateGrace time.Duration

	// ErrorHandler answers the requests that [Manager.RequireSession] refuses;
	// err matches [ErrNotFound] when nobody is logged in and is another error
	// when that could not be found out. Nil: 401 and 503 without a body.
	ErrorHandler func(ctx *mist.Context, err error)

	checked atomic.Bool // Check has passed
}

const (
	defaultCtxSessionKey = "session"
	defaultRotateGrace   = 30 * time.Second
	maxRotateGrace       = 24 * time.Hour

	idRetries = 3

	// cleanupTimeout bounds the removal of a session that no client will ever
	// name, on a context that the client's leaving does not end.
	cleanupTimeout = 5 * time.Second

	// maxPlainID is the length of the longest id of a plain store that is
	// looked up, in bytes.
	maxPlainID = 256
)

var (
	errNoManager = errors.New("session: Manager is nil")
	errNoContext = errors.New("session: *mist.Context is nil")
	errNoRequest = errors.New("session: Context.Request is nil")
	errNoWriter  = errors.New("session: Context.ResponseWriter is nil")
	errNoSession = errors.New("session: Store returned neither a session nor an error")

	errNoToken     = errors.New("session: a session of a TokenStore has no token; a wrapper of sessions needs Unwrap")
	errHiddenStore = errors.New("session: a Store that is no TokenStore issues tokens; a wrapper of stores needs Unwrap")
)

// InitSession makes a new session and gives its identifier to the client: log a
// user in with it. It always makes a new one, also when the request has one
// already (that is what makes it safe at login: an identifier that somebody
// planted stays worthless, ASVS 5.0, 7.2.4). An earlier session lives on; whoever
// had one to log in with ends it by its id, as examples/login does.
//
// The Set-Cookie is in the response header when it returns, so it comes before
// anything that writes the response; behind the Middleware it is
// [ErrHeaderWritten] where that came first. When the store fails nothing else
// happens; when the identifier cannot be injected the session is removed again.
// [ErrExists] after four ids that were all taken. Other errors are the store's
// and the propagator's.
func (m *Manager) InitSession(ctx *mist.Context) (Session, error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, err
	}
	if m.headerWritten(ctx) {
		return nil, ErrHeaderWritten
	}
	reqctx := ctx.Request.Context()
	s, err := m.generate(reqctx)
	if err != nil {
		return nil, err
	}
	carried, err := m.carried(s)
	if err == nil {
		err = m.inject(ctx, carried)
	}
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(reqctx), cleanupTimeout)
		defer cancel()
		return nil, errors.Join(err, m.Store.Remove(cleanup, s.ID()))
	}
	m.entry(ctx).put(ctx, s, carried)
	return s, nil
}

func (m *Manager) generate(ctx context.Context) (Session, error) {
	newID, valid := m.NewID, validPlainID
	if newID == nil {
		newID = uuid.NewString
	}
	if _, tokens := m.tokenStore(); tokens {
		valid = token.ValidID
	}
	for tries := 0; ; tries++ {
		id := newID()
		if !valid(id) {
			return nil, ErrInvalidID
		}
		s, err := m.Store.Generate(ctx, id)
		switch {
		case err == nil && s == nil:
			return nil, errNoSession
		case errors.Is(err, ErrExists) && tries < idRetries:
		default:
			return s, err
		}
	}
}

// GetSession returns the session of the request. It asks the store at most
// once, also when several goroutines of one handler ask at the same time, and
// then gives the same Session to all of them. It neither prolongs the session
// nor touches the response.
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
	return e.load(ctx.Request.Context(), ctx.Request, ctx)
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
func (m *Manager) extract(req *http.Request) (string, error) {
	carried, err := m.Propagator.Extract(req)
	if err != nil {
		return "", err
	}
	var valid bool
	if _, tokens := m.tokenStore(); tokens {
		_, _, valid = token.Parse(carried)
	} else {
		valid = validPlainID(carried)
	}
	if !valid {
		return "", ErrNotFound
	}
	return carried, nil
}

// RefreshSession prolongs the session of the request: it now lives until now
// plus the store's idle timeout, never beyond its absolute deadline. An
// identifier that has a lifetime of its own on the client ([Lasting]) is
// injected again. Nothing else prolongs a session, reading does not: call this
// where activity counts.
//
// Errors as for GetSession; [ErrNotFound] also when the session ended since it
// was loaded; [ErrHeaderWritten]: the session is prolonged, but the identifier
// on the client could not be.
func (m *Manager) RefreshSession(ctx *mist.Context) error {
	s, err := m.GetSession(ctx)
	if err != nil {
		return err
	}
	if err := m.Store.Refresh(ctx.Request.Context(), s.ID()); err != nil {
		return err
	}
	l, ok := unwrap[Lasting](choose(m.Propagator, ctx.Request))
	sent := m.entry(ctx).sent()
	if !ok || l.Lifetime() <= 0 || sent == "" {
		return nil // or put there by the application: this client does not carry it
	}
	if ctx.ResponseWriter == nil {
		return errNoWriter
	}
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	if _, tokens := m.tokenStore(); tokens {
		// Others may have rotated since this request was loaded: an old token
		// must not take the place of the newest in the browser.
		s, err = m.open(ctx.Request.Context(), sent)
		if errors.Is(err, ErrNotFound) {
			return nil // its time is over, so the client has a newer one
		}
		if err != nil {
			return err
		}
	}
	carried, err := m.carried(s)
	if err != nil {
		return err
	}
	return m.inject(ctx, carried)
}

// RemoveSession ends the session of the request: it logs the user out. When it
// returns nil the session is dead for every request, also those under way, and
// the response tells the client to forget the identifier.
//
// Errors as for GetSession, and then nothing has happened; those of the store,
// and then the client is left alone, because the session may be alive. After
// [ErrHeaderWritten] or another error of the propagator the session is dead,
// but the client still carries its identifier.
func (m *Manager) RemoveSession(ctx *mist.Context) error {
	if err := m.usable(ctx, true); err != nil {
		return err
	}
	s, err := m.GetSession(ctx)
	if err != nil {
		return err
	}
	if err := m.Store.Remove(ctx.Request.Context(), s.ID()); err != nil {
		return err
	}
	m.entry(ctx).drop(ctx)
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	return choose(m.Propagator, ctx.Request).Remove(ctx.ResponseWriter)
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
	} else if _, _, ok := token.Parse(c); !ok {
		return "", errNoToken
	}
	return c, nil
}

func (m *Manager) inject(ctx *mist.Context, carried string) error {
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	return choose(m.Propagator, ctx.Request).Inject(carried, ctx.ResponseWriter)
}

// tokenStore returns the store's capability to open sessions by token. There is
// no fallback from it: where a store issues tokens, an id opens nothing.
func (m *Manager) tokenStore() (TokenStore, bool) {
	return unwrap[TokenStore](m.Store)
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
