package session

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"time"

	"github.com/mist-contrib/session/internal/token"
)

// An Event tells what happened to a session, or why a request got none. It never holds a
// token.
type Event struct {
	Kind EventKind

	// Session is the id, the public handle. For a refusal it is the id that the client
	// claims. Empty if there is none, and always with a plain store, because its ids are
	// what clients carry.
	Session string

	// Previous is the id of the anonymous session that a login ended. Empty if there was
	// none.
	Previous string

	// User is the user of the session. Empty if it has none or it is not known.
	User string

	// Actor is the account that acts as User, see [Login].Actor. Empty if there is none.
	Actor string

	// Count is how many sessions EventRevoked ended, or how many events
	// EventDropped stands for.
	Count int

	// Cause is the reason. Nil if Kind says it all.
	Cause error
}

// An EventKind is the kind of an [Event].
type EventKind string

// The life of a session.
const (
	EventCreated         EventKind = "created"         // InitSession made it
	EventLogin           EventKind = "login"           // User logged in
	EventReauthenticated EventKind = "reauthenticated" // User authenticated again
	EventRotated         EventKind = "rotated"         // it has a new token
	EventRemoved         EventKind = "removed"         // it was ended; Cause ErrUserLimit: a login over the limit ended it
	EventRevoked         EventKind = "revoked"         // Count sessions of User were ended
	EventBound           EventKind = "bound"           // it is bound to a device from now on
	EventProved          EventKind = "proved"          // its device proved itself and has a new token
)

// Refusals and failures. A request without an identifier causes no event.
const (
	EventUnknown         EventKind = "unknown"          // no live session has this token; Redis reports expired sessions so too
	EventMalformed       EventKind = "malformed"        // the client sent a malformed identifier
	EventDuplicate       EventKind = "duplicate"        // the client sent two identifiers; ErrMultiple says what to do
	EventExpiredIdle     EventKind = "expired_idle"     // the idle timeout had passed
	EventExpiredAbsolute EventKind = "expired_absolute" // the absolute timeout had passed
	EventReused          EventKind = "reused"           // an old token was used after its grace: it may be stolen
	EventUnproved        EventKind = "unproved"         // an ended token of a bound session was used: it may be stolen
	EventProofRefused    EventKind = "proof_refused"    // a device was not bound, or got no new token: Cause
	EventLoginRefused    EventKind = "login_refused"    // Cause: ErrRevoked or ErrUserLimit
	EventForged          EventKind = "forged"           // a forged request; Cause tells why
	EventFailed          EventKind = "failed"           // the store failed: Cause
)

// EventDropped stands for Count events that were dropped because OnEvent was busy for 50
// milliseconds. Nothing more is known of them, so the log is incomplete.
const EventDropped EventKind = "dropped"

const (
	// eventPatience is how long a request waits for its hook.
	eventPatience = 50 * time.Millisecond

	// maxHooks limits the concurrent calls of the hook, so that a blocked hook does not
	// use up memory.
	maxHooks = 64
)

// emit passes e to OnEvent. If OnEvent is nil, emit costs nothing.
func (m *Manager) emit(ctx context.Context, e Event) {
	if m.OnEvent != nil {
		m.callHook(ctx, e)
	}
}

// callHook calls the hook on its own goroutine, so that a request can go on if its hook
// does not return.
func (m *Manager) callHook(ctx context.Context, e Event) {
	m.hooksOnce.Do(func() { m.hooks = make(chan struct{}, maxHooks) })
	patience := time.NewTimer(eventPatience)
	defer patience.Stop()
	select {
	case m.hooks <- struct{}{}:
	default:
		select {
		case m.hooks <- struct{}{}:
		case <-patience.C:
			m.dropped.Add(1)
			go m.reportDropped(ctx) // the last call may have returned before this drop was counted
			return
		}
	}
	done := make(chan struct{})
	go func() {
		defer m.reportDropped(ctx)
		defer func() { <-m.hooks }()
		defer close(done)
		m.runHook(ctx, e)
	}()
	select {
	case <-done:
	case <-patience.C:
	}
}

func (m *Manager) runHook(ctx context.Context, e Event) {
	defer func() { _ = recover() }() // a panic of the hook must not stop the request
	m.OnEvent(ctx, e)
}

// reportDropped reports dropped events to the hook. It runs after each drop and after each
// call returns. If all places are taken, the running calls will report the drops.
func (m *Manager) reportDropped(ctx context.Context) {
	for m.dropped.Load() > 0 {
		select {
		case m.hooks <- struct{}{}:
		default:
			return
		}
		m.reportDroppedNow(ctx)
	}
}

func (m *Manager) reportDroppedNow(ctx context.Context) {
	defer func() { <-m.hooks }()
	if n := m.dropped.Swap(0); n > 0 {
		m.runHook(ctx, Event{Kind: EventDropped, Count: int(n)})
	}
}

// publicID returns the id of s, or nothing if the id is a secret.
func (m *Manager) publicID(s Session) string {
	if _, tokens := m.tokenStore(); !tokens {
		return ""
	}
	return s.ID()
}

// eventOf makes an event of a live session, for emit. If OnEvent is nil, eventOf costs
// nothing.
func (m *Manager) eventOf(kind EventKind, s Session) (e Event) {
	if m.OnEvent != nil {
		e = m.newEvent(kind, s)
	}
	return e
}

func (m *Manager) newEvent(kind EventKind, s Session) Event {
	info, _ := Describe(s)
	return Event{Kind: kind, Session: m.publicID(s), User: info.User}
}

// emitRefusal tells OnEvent why a request got no session, once per request. It classifies
// the cause only if OnEvent is set.
func (st *managerState) emitRefusal(ctx context.Context, name func(error) EventKind, identifier string, cause error) {
	if st.manager.OnEvent == nil {
		return
	}
	kind := name(cause)
	if kind == "" {
		return
	}
	st.request.mu.Lock()
	before := st.refused
	st.refused = true
	st.request.mu.Unlock()
	if !before {
		st.manager.emit(ctx, Event{Kind: kind, Session: st.manager.claimedID(identifier), Cause: cause})
	}
}

// claimedID returns the id in a token. With a plain store it returns nothing, because an
// id of such a store may look like a token.
func (m *Manager) claimedID(identifier string) string {
	if _, tokens := m.tokenStore(); !tokens {
		return ""
	}
	id, _, _ := token.Parse(identifier)
	return id
}

// extractKind returns the kind for an error of Extract. Empty: the request carries no
// identifier.
func extractKind(err error) EventKind {
	switch {
	case errors.Is(err, ErrMultiple):
		return EventDuplicate
	case err == ErrNotFound, errors.Is(err, http.ErrNoCookie): //nolint:errorlint // a wrapped error has a cause to report
		return ""
	case errors.Is(err, ErrNotFound):
		return EventMalformed
	}
	return EventFailed
}

// openKind returns the kind for an error of the store. Empty: the client has left.
func openKind(err error) EventKind {
	switch {
	case errors.Is(err, ErrReused):
		return EventReused
	case errors.Is(err, ErrUnproved):
		return EventUnproved
	case errors.Is(err, ErrExpiredIdle):
		return EventExpiredIdle
	case errors.Is(err, ErrExpiredAbsolute):
		return EventExpiredAbsolute
	case errors.Is(err, ErrNotFound):
		return EventUnknown
	case errors.Is(err, context.Canceled):
		return ""
	}
	return EventFailed
}

// failed returns err, and reports it to OnEvent if it is a failure of the store.
func (m *Manager) failed(ctx context.Context, err error) error {
	if m.OnEvent == nil {
		return err
	}
	var system syscall.Errno // some of them are errors.ErrUnsupported
	if errors.Is(err, errors.ErrUnsupported) && !errors.As(err, &system) {
		return err
	}
	for _, other := range []error{ErrNotFound, ErrInvalidUser, ErrUserLimit, ErrValue, ErrTooLarge, ErrHeaderWritten, context.Canceled} {
		if errors.Is(err, other) {
			return err
		}
	}
	m.emit(ctx, Event{Kind: EventFailed, Cause: err})
	return err
}
