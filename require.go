package session

import (
	"errors"
	"net/http"
	"time"

	"github.com/dormoron/mist"
)

// RequireSession returns a middleware that lets a request through if it has a session,
// anonymous or not. Without one the request gets 401. If the store fails it gets 503, and
// nobody is logged out. [Manager] ErrorHandler answers instead if it is set. The
// middleware works with and without [Manager.Middleware].
func (m *Manager) RequireSession() mist.Middleware {
	return m.guard(func(ctx *mist.Context) error {
		_, err := m.GetSession(ctx)
		return err
	})
}

// RequireLevel returns a middleware that lets a request through if its user is logged in
// at that level or above. RequireLevel([Authenticated]) means "must be logged in". A
// request without a user gets 401, and a lower level gets 403 with [ErrReauthenticate].
// Otherwise it does what RequireSession does.
func (m *Manager) RequireLevel(level Level) mist.Middleware {
	return m.guard(func(ctx *mist.Context) error {
		_, info, err := m.user(ctx)
		if err == nil && info.Level < level {
			err = ErrReauthenticate
		}
		return err
	})
}

// RequireFresh returns a middleware for dangerous actions, such as a change of the
// password (ASVS 5.0, 7.5.1, 7.5.3). It lets a request through if its user logged in, or
// proved who they are by [Manager.Reauthenticate], less than d ago. Otherwise the request
// gets 403 with [ErrReauthenticate], and 401 without a user. The time is the store's
// ([Now]), or this machine's if the session is no [Clock]. RequireFresh panics if d is not
// positive.
func (m *Manager) RequireFresh(d time.Duration) mist.Middleware {
	if d <= 0 {
		panic("session: RequireFresh: duration is not positive")
	}
	return m.guard(func(ctx *mist.Context) error { return m.fresh(ctx, d, ErrReauthenticate) })
}

// fresh returns stale if the user of the request proved who they are d ago or earlier.
func (m *Manager) fresh(ctx *mist.Context, d time.Duration, stale error) error {
	s, info, err := m.user(ctx)
	if err != nil {
		return err
	}
	age, err := m.loginAge(ctx, s, info)
	if err == nil && age >= d {
		err = stale
	}
	return err
}

// loginAge returns how long ago the user of s proved who they are, by the store's clock. A
// wrong clock may put that into the future. The age is never negative, so that such a login
// is not fresh for ever.
func (m *Manager) loginAge(ctx *mist.Context, s Session, info Info) (time.Duration, error) {
	now, err := Now(ctx.Request.Context(), s)
	if errors.Is(err, errors.ErrUnsupported) {
		now, err = time.Now(), nil
	}
	if err != nil {
		return 0, m.failed(ctx.Request.Context(), err)
	}
	return now.Sub(info.AuthenticatedAt).Abs(), nil
}

// user returns the session of the request, and ErrNotFound if it has no user.
func (m *Manager) user(ctx *mist.Context) (s Session, info Info, err error) {
	if s, err = m.GetSession(ctx); err != nil {
		return nil, Info{}, err
	}
	info, err = Describe(s)
	if err == nil && info.User == "" {
		err = ErrNotFound
	}
	return s, info, err
}

// guard returns a middleware that calls the next handler if allowed returns nil. If not, it
// answers the request with the error.
func (m *Manager) guard(allowed func(ctx *mist.Context) error) mist.Middleware {
	return func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			err := allowed(ctx)
			var form *formError
			switch {
			case err == nil:
				next(ctx)
			case ctx == nil || ctx.Request == nil || ctx.ResponseWriter == nil:
				// There is no response to write.
			case m != nil && m.ErrorHandler != nil:
				m.ErrorHandler(ctx, err)
			case errors.Is(err, ErrNotFound):
				ctx.AbortWithStatus(http.StatusUnauthorized)
			case errors.Is(err, ErrReauthenticate), errors.Is(err, ErrForged), errors.Is(err, ErrUnbound):
				ctx.AbortWithStatus(http.StatusForbidden)
			case errors.As(err, &form):
				ctx.AbortWithStatus(form.status)
			default:
				ctx.AbortWithStatus(http.StatusServiceUnavailable)
			}
		}
	}
}
