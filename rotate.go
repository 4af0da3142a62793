package session

import (
	"time"

	"github.com/dormoron/mist"
)

// RotateSession renews the token of the request's session and keeps everything
// else: its id, values and deadlines. Use it for renewal at the same privilege.
//
// The old token stays good until the new one was first seen, and then for
// RotateGrace, so requests that are under way go on, a response that got lost
// logs nobody out, and repeating it is harmless: whoever rotates with the same
// old token is given the same new one. From here on GetSession returns a new
// [Session] for this request, loaded by the rotation. The token of a session that is
// bound to a device stays as it is: only its device is given another.
//
// Errors as for GetSession; [errors.ErrUnsupported]: the store is no
// [TokenStore]; [ErrHeaderWritten]: the response is out, nothing was rotated.
// After any other error the client's token is still good.
func (m *Manager) RotateSession(ctx *mist.Context) error {
	if err := m.usable(ctx, true); err != nil {
		return err
	}
	ts, ok := m.tokenStore()
	if !ok {
		return unsupported("RotateSession")
	}
	if _, err := m.GetSession(ctx); err != nil {
		return err
	}
	e := m.entry(ctx)
	carried := e.sent()
	if carried == "" {
		return unsupported("RotateSession of a session that no client carries")
	}
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	s, err := ts.Rotate(m.context(ctx), carried, m.rotateGrace())
	if err != nil {
		return m.failed(ctx.Request.Context(), err)
	}
	if s == nil {
		return errNoSession
	}
	next, err := m.carried(s)
	if err != nil {
		return err
	}
	bound := isBound(s)              // then the client has this token already, or a newer one
	if e.response == nil && !bound { // else the rotation itself has given it to the client
		if err := m.inject(ctx, s, next); err != nil {
			return err
		}
	}
	// The client has not shown the new token yet: what it sent stays what the
	// next rotation starts from, or a second one in this request would let the
	// token that the client has die.
	e.put(ctx, s, carried)
	if !bound {
		m.emit(ctx.Request.Context(), m.about(EventRotated, s))
	}
	return nil
}

func (m *Manager) rotateGrace() time.Duration {
	if m.RotateGrace == 0 {
		return defaultRotateGrace
	}
	return m.RotateGrace
}
