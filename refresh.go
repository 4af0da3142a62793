package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dormoron/mist"
)

// RefreshSession prolongs the session of the request: it now lives until now
// plus its idle timeout, never beyond its absolute deadline. An identifier that
// has a lifetime of its own on the client ([Lasting]) is injected again, and a
// token that is older than RenewAfter is rotated, unless the store is full. Nothing
// else prolongs a session, reading does not: call this where activity counts. With
// RefreshInterval it does nothing at all until it is time.
//
// Errors as for GetSession; [ErrNotFound] also when the session ended since it
// was loaded, where the store is asked; [ErrHeaderWritten]: the session is prolonged,
// but the identifier on the client could not be; a session of a [ClientStore] is not
// prolonged then.
func (m *Manager) RefreshSession(ctx *mist.Context) error {
	s, err := m.GetSession(ctx)
	if err != nil {
		return err
	}
	if m.refreshed(ctx.Request.Context(), s) {
		return nil
	}
	if err := m.Store.Refresh(m.context(ctx), s.ID()); err != nil {
		return m.failed(ctx.Request.Context(), err)
	}
	e := m.entry(ctx)
	l, ok := unwrap[Lasting](e.through(ctx.Request))
	lasting := ok && l.Lifetime() > 0 && e.response == nil // else the refresh has injected it
	sent := e.sent()
	if sent == "" || !lasting && !m.renews(ctx, s) || proved(s) {
		return nil // put there by the application, so this client does not carry it, or renewed by a proof only
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
		s, err = m.open(m.context(ctx), sent)
		if errors.Is(err, ErrNotFound) {
			return nil // its time is over, so the client has a newer one
		}
		if err != nil {
			return m.failed(ctx.Request.Context(), err)
		}
	}
	if m.settling(s) {
		return nil
	}
	if m.due(s) {
		err := m.RotateSession(ctx)
		if !errors.Is(err, ErrFull) {
			return err
		}
		// A store without room keeps the old token, until the next refresh.
	}
	if !lasting {
		return nil
	}
	carried, err := m.carried(s)
	if err != nil {
		return err
	}
	return m.inject(ctx, s, carried)
}

// renews reports whether the token of s may be renewed in this response.
func (m *Manager) renews(ctx *mist.Context, s Session) bool {
	if m.RenewAfter <= 0 || ctx.ResponseWriter == nil || m.headerWritten(ctx) {
		return false
	}
	info, err := Describe(s)
	return err == nil && info.User != ""
}

// due reports whether it is time for another token of s, which was loaded after it
// was refreshed: both times are of the store's clock.
func (m *Manager) due(s Session) bool {
	info, err := Describe(s)
	return err == nil && m.RenewAfter > 0 && info.User != "" && info.LastSeen.Sub(info.RotatedAt) >= m.RenewAfter
}

// refreshed reports whether s was refreshed less than RefreshInterval ago, without a
// doubt.
func (m *Manager) refreshed(ctx context.Context, s Session) bool {
	if m.RefreshInterval <= 0 {
		return false
	}
	info, err := Describe(s)
	if err != nil {
		return false
	}
	now, ok := m.clock.now(ctx, s)
	age := now.Sub(info.LastSeen)
	// A time to come is of a clock that was set back, or of another server's.
	return ok && age >= 0 && age < min(m.RefreshInterval, info.IdleDeadline.Sub(info.LastSeen)/2)
}

// A storeClock tells the time of a store, and asks it once a minute only. Should the
// clock of the store be set meanwhile, or should its servers disagree, it is wrong by
// as much.
type storeClock struct {
	known  atomic.Pointer[reading]
	asking atomic.Bool
}

// A reading is the latest that it could be by the clock of the store, at a time of this
// machine.
type reading struct{ store, here time.Time }

const readingHolds = time.Minute

// now returns the latest that it can be by the clock of the store of s.
func (c *storeClock) now(ctx context.Context, s Session) (latest time.Time, ok bool) {
	r := c.known.Load()
	if r == nil || time.Since(r.here) > readingHolds {
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
		r = &reading{store.Add(here.Sub(start) + time.Millisecond), here} // which may be what it was rounded by
		c.known.Store(r)
	}
	return r.store.Add(time.Since(r.here)), true
}
