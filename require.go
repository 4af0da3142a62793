package session

import (
	"errors"
	"net/http"

	"github.com/dormoron/mist"
)

// RequireSession returns a middleware that lets a request through when it has a
// session. Nobody logged in: 401. Could not be found out, because the store is
// down: 503, and nobody is logged out. [Manager] ErrorHandler answers instead
// where it is set. It works with and without [Manager.Middleware].
func (m *Manager) RequireSession() mist.Middleware {
	return func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			_, err := m.GetSession(ctx)
			switch {
			case err == nil:
				next(ctx)
			case ctx == nil || ctx.Request == nil || ctx.ResponseWriter == nil:
				// There is nobody to answer.
			case m != nil && m.ErrorHandler != nil:
				m.ErrorHandler(ctx, err)
			case errors.Is(err, ErrNotFound):
				ctx.AbortWithStatus(http.StatusUnauthorized)
			default:
				ctx.AbortWithStatus(http.StatusServiceUnavailable)
			}
		}
	}
}
