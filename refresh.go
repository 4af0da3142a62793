package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dormoron/mist"
)

// RefreshSession prolongs the session of the request: the idle timeout starts again, but
// the absolute deadline stays. If the identifier has its own lifetime on the client
// ([Expiring]), it is injected again. A token older than RenewAfter is rotated, unless the
// store is full. Apart from a login, nothing else prolongs a session, not even reading: call
// RefreshSession where activity counts. With RefreshInterval, an early call does nothing.
//
// Errors as for GetSession. [ErrNotFound] is also returned if the store is asked and the
// session has ended since it was loaded. [ErrHeaderWritten]: the session is prolonged, but
// the client's identifier is not. A session of a [ClientStore] is then not prolonged
// either.
func (m *Manager) RefreshSession(ctx *mist.Context) error {
	s, err := m.GetSession(ctx)
	if err != nil {
		return err
	}
	if m.recentlyRefreshed(ctx.Request.Context(), s) {
		return nil
	}
	if err := m.Store.Refresh(m.context(ctx), s.ID()); err != nil {
		return m.failed(ctx.Request.Context(), err)
	}
	st := m.state(ctx)
	l, ok := unwrap[Expiring](st.propagatorFor(ctx.Request))
	expiring := ok && l.Lifetime() > 0 && st.response == nil // else the refresh has injected it
	presented := st.clientIdentifier()
	if presented == "" || !expiring && !m.mayRotate(ctx, s) || openedByProof(s) {
		return nil // the client does not carry it, or only a proof of its device renews it
	}
	if ctx.ResponseWriter == nil {
		return errNoWriter
	}
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	if _, tokens := m.tokenStore(); tokens {
		// Another request may have rotated the token since this one was loaded. An old
		// token must not replace the newest in the browser.
		s, err = m.open(m.context(ctx), presented)
		if errors.Is(err, ErrNotFound) {
			return nil // the old token has expired, so the client has a newer one
		}
		if err != nil {
			return m.failed(ctx.Request.Context(), err)
		}
	}
	if m.mustKeepCookie(s) {
		return nil
	}
	if m.rotationDue(s) {
		err := m.RotateSession(ctx)
		if !errors.Is(err, ErrFull) {
			return err
		}
		// A full store keeps the old token until the next refresh.
	}
	if !expiring {
		return nil
	}
	identifier, err := m.identifier(s)
	if err != nil {
		return err
	}
	return m.inject(ctx, s, identifier)
}

// mayRotate reports whether this response may carry a new token of s.
func (m *Manager) mayRotate(ctx *mist.Context, s Session) bool {
	if m.RenewAfter <= 0 || ctx.ResponseWriter == nil || m.headerWritten(ctx) {
		return false
	}
	info, err := Describe(s)
	return err == nil && info.User != ""
}

// rotationDue reports whether the token of s must be rotated. s was loaded after its
// refresh, and both times are the store's.
func (m *Manager) rotationDue(s Session) bool {
	info, err := Describe(s)
	return err == nil && m.RenewAfter > 0 && info.User != "" && info.LastSeen.Sub(info.RotatedAt) >= m.RenewAfter
}

// recentlyRefreshed reports whether s was certainly refreshed less than RefreshInterval
// ago.
func (m *Manager) recentlyRefreshed(ctx context.Context, s Session) bool {
	if m.RefreshInterval <= 0 {
		return false
	}
	info, err := Describe(s)
	if err != nil {
		return false
	}
	now, ok := m.clock.now(ctx, s)
	age := now.Sub(info.LastSeen)
	// LastSeen is in the future if the clock was set back, or if another server wrote it.
	return ok && age >= 0 && age < min(m.RefreshInterval, info.IdleDeadline.Sub(info.LastSeen)/2)
}

// A storeClock estimates the time of a store, and asks it only once a minute. If the
// store's clock is set meanwhile, or if its servers disagree, the estimate is wrong by as
// much.
type storeClock struct {
	known  atomic.Pointer[clockReading]
	asking atomic.Bool
}

// A clockReading holds the latest possible time of the store's clock at a time of this
// machine.
type clockReading struct{ store, here time.Time }

const clockReadingLife = time.Minute

// now returns the latest possible time by the clock of the store of s.
func (c *storeClock) now(ctx context.Context, s Session) (latest time.Time, ok bool) {
	r := c.known.Load()
	if r == nil || time.Since(r.here) > clockReadingLife {
		if !c.asking.CompareAndSwap(false, true) {
			return time.Time{}, false // another request asks
		}
		defer c.asking.Store(false)
		start := time.Now()
		store, err := Now(ctx, s)
		if err != nil {
			return time.Time{}, false
		}
		here := time.Now()
		r = &clockReading{store.Add(here.Sub(start) + time.Millisecond), here} // a millisecond for rounding
		c.known.Store(r)
	}
	return r.store.Add(time.Since(r.here)), true
}
