package session

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"time"

	"github.com/mist-contrib/session/internal/token"
)

// An Event tells what happened to a session, or why a request got none. It never
// holds a token.
type Event struct {
	Kind EventKind

	// Session is the id, the public handle; of a refusal the one that the client
	// claims. Empty where there is none, and always with a plain store, whose
	// ids are what clients carry.
	Session string

	// Previous is, of a login, the id of the anonymous session that ended with it.
	// Empty where there was none.
	Previous string

	// User is whose session it is; empty where that is nobody's, or not known.
	User string

	// Actor is who acts as User, as [Login].Actor says; empty where it says nothing.
	Actor string

	// Count is how many sessions EventRevoked ended, or how many events
	// EventDropped stands for.
	Count int

	// Cause is why; nil where the Kind says it all.
	Cause error
}

// An EventKind says what happened.
type EventKind string

// The life of a session.
const (
	EventCreated         EventKind = "created"         // InitSession made it
	EventLogin           EventKind = "login"           // User logged in
	EventReauthenticated EventKind = "reauthenticated" // User proved again who they are
	EventRotated         EventKind = "rotated"         // it has a new token
	EventRemoved         EventKind = "removed"         // it was ended; Cause ErrUserLimit: by a login that was one too many
	EventRevoked         EventKind = "revoked"         // Count sessions of User were ended
	EventBound           EventKind = "bound"           // it is bound to a device from now on
	EventProved          EventKind = "proved"          // its device proved itself and has a new token
)

// What was refused. A request without an identifier is no event.
const (
	EventUnknown         EventKind = "unknown"          // no live session has this token; with Redis also after expiry
	EventMalformed       EventKind = "malformed"        // what the client sent can be no identifier
	EventDuplicate       EventKind = "duplicate"        // it sent two; ErrMultiple says what to do
	EventExpiredIdle     EventKind = "expired_idle"     // the idle timeout had passed
	EventExpiredAbsolute EventKind = "expired_absolute" // the absolute timeout had passed
	EventReused          EventKind = "reused"           // an old token after its grace: perhaps a thief has it, or had it
	EventUnproved        EventKind = "unproved"         // a token of a bound session after its end: perhaps a thief has it
	EventProofRefused    EventKind = "proof_refused"    // a device was not bound, or given no new token: Cause
	EventLoginRefused    EventKind = "login_refused"    // Cause: ErrRevoked or ErrUserLimit
	EventForged          EventKind = "forged"           // ErrForged, Cause tells why
	EventFailed          EventKind = "failed"           // the store failed: Cause
)

// EventDropped stands for Count events that came while OnEvent was busy with others
// for 50 milliseconds. Nothing more is known of them; the log is not complete.
const EventDropped EventKind = "dropped"

const (
	// eventPatience is how long a request waits for its hook.
	eventPatience = 50 * time.Millisecond

	// maxHooks is how many calls of the hook there are at once, so that a hook
	// that blocks costs no memory.
	maxHooks = 64
)

// emit tells OnEvent. It costs nothing where that is nil.
func (m *Manager) emit(ctx context.Context, e Event) {
	if m.OnEvent != nil {
		m.deliver(ctx, e)
	}
}

// deliver calls the hook on a goroutine of its own, because only so can a
// request go on whose hook does not return.
func (m *Manager) deliver(ctx context.Context, e Event) {
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
			go m.tellDropped(ctx) // the last call may have returned before it was counted
			return
		}
	}
	done := make(chan struct{})
	go func() {
		defer m.tellDropped(ctx)
		defer func() { <-m.hooks }()
		defer close(done)
		m.call(ctx, e)
	}()
	select {
	case <-done:
	case <-patience.C:
	}
}

func (m *Manager) call(ctx context.Context, e Event) {
	defer func() { _ = recover() }() // the hook's own business, and not the request's
	m.OnEvent(ctx, e)
}

// tellDropped tells the hook of events that were dropped. Whoever counts one calls
// it, and whoever gives a place back: where all places are taken, the holders will.
func (m *Manager) tellDropped(ctx context.Context) {
	for m.dropped.Load() > 0 {
		select {
		case m.hooks <- struct{}{}:
		default:
			return
		}
		m.tell(ctx)
	}
}

func (m *Manager) tell(ctx context.Context) {
	defer func() { <-m.hooks }()
	if n := m.dropped.Swap(0); n > 0 {
		m.call(ctx, Event{Kind: EventDropped, Count: int(n)})
	}
}

// handle is the id of s where it is no secret.
func (m *Manager) handle(s Session) string {
	if _, tokens := m.tokenStore(); !tokens {
		return ""
	}
	return s.ID()
}

// about makes an event of a live session, for emit. It costs nothing where OnEvent
// is nil.
func (m *Manager) about(kind EventKind, s Session) (e Event) {
	if m.OnEvent != nil {
		e = m.described(kind, s)
	}
	return e
}

func (m *Manager) described(kind EventKind, s Session) Event {
	info, _ := Describe(s)
	return Event{Kind: kind, Session: m.handle(s), User: info.User}
}

// refuse tells OnEvent why a request got no session, once for a request. It asks
// for the name of the cause only where somebody will be told.
func (e *entry) refuse(ctx context.Context, name func(error) EventKind, carried string, cause error) {
	if e.manager.OnEvent == nil {
		return
	}
	kind := name(cause)
	if kind == "" {
		return
	}
	e.request.mu.Lock()
	before := e.refused
	e.refused = true
	e.request.mu.Unlock()
	if !before {
		e.manager.emit(ctx, Event{Kind: kind, Session: e.manager.claimed(carried), Cause: cause})
	}
}

// claimed is the id in a token; nothing of what is none, as an id of a plain store
// may look like one.
func (m *Manager) claimed(carried string) string {
	if _, tokens := m.tokenStore(); !tokens {
		return ""
	}
	id, _, _ := token.Parse(carried)
	return id
}

// extraction names an error of Extract; empty: there is nothing to extract.
func extraction(err error) EventKind {
	switch {
	case errors.Is(err, ErrMultiple):
		return EventDuplicate
	case err == ErrNotFound, errors.Is(err, http.ErrNoCookie): //nolint:errorlint // a wrapped one has a reason
		return ""
	case errors.Is(err, ErrNotFound):
		return EventMalformed
	}
	return EventFailed
}

// opening names an error of the store; empty: the client has left.
func opening(err error) EventKind {
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

// failed tells OnEvent of an error of the store that means a failure, and
// returns it.
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
