package session

import (
	"time"

	"github.com/dormoron/mist"
)

// RotateSession renews the token of the request's session and keeps its id, values and
// deadlines. Use it for renewal at the same privilege.
//
// The old token stays valid until the first use of the new one, and then for RotateGrace.
// So requests in progress go on, and a lost response logs nobody out. Repeating it is
// harmless: all rotations of the same old token return the same new one. From now on
// GetSession returns the new [Session] for this request. The token of a session that is
// bound to a device stays unchanged, because only its device receives new tokens.
//
// Errors as for GetSession. [errors.ErrUnsupported]: the store is no [TokenStore].
// [ErrHeaderWritten]: the response header is out, and nothing was rotated. After any other
// error the client's token still works.
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
	st := m.state(ctx)
	identifier := st.clientIdentifier()
	if identifier == "" {
		return unsupported("RotateSession of a session that no client carries")
	}
	if m.headerWritten(ctx) {
		return ErrHeaderWritten
	}
	s, err := ts.Rotate(m.context(ctx), identifier, m.rotateGrace())
	if err != nil {
		return m.failed(ctx.Request.Context(), err)
	}
	if s == nil {
		return errNoSession
	}
	next, err := m.identifier(s)
	if err != nil {
		return err
	}
	bound := isBound(s)               // then the client already has this token or a newer one
	if st.response == nil && !bound { // else the rotation has given the token to the client
		if err := m.inject(ctx, s, next); err != nil {
			return err
		}
	}
	// The client has not used the new token yet, so the next rotation must start from the
	// old one. Otherwise a second rotation in this request would end the token that the
	// client has.
	st.setSession(ctx, s, identifier)
	if !bound {
		m.emit(ctx.Request.Context(), m.eventOf(EventRotated, s))
	}
	return nil
}

func (m *Manager) rotateGrace() time.Duration {
	if m.RotateGrace == 0 {
		return defaultRotateGrace
	}
	return m.RotateGrace
}
