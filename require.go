package session

import (
	"errors"
	"net/http"
	"time"

	"github.com/dormoron/mist"
)

// RequireSession returns a middleware that lets a request through when it has a
// session, of a user or anonymous. None: 401. Could not be found out, because the
// store is down: 503, and nobody is logged out. [Manager] ErrorHandler answers
// instead where it is set. It works with and without [Manager.Middleware].
func (m *Manager) RequireSession() mist.Middleware {
	return m.guard(func(ctx *mist.Context) error {
		_, err := m.GetSession(ctx)
		return err
	})
}

// RequireLevel returns a middleware that lets a request through when its user has
// proved who they are at that level or above; RequireLevel([Authenticated]) is
// "must be logged in". Nobody logged in, or an anonymous session: 401. A lower
// level: 403, its error is [ErrReauthenticate]. Otherwise as RequireSession.
func (m *Manager) RequireLevel(level Level) mist.Middleware {
	return m.guard(func(ctx *mist.Context) error {
		_, info, err := m.user(ctx)
		if err == nil && info.Level < level {
			err = ErrReauthenticate
		}
		return err
	})
}

// RequireFresh returns a middleware for what is done seldom and hurts much, such
// as changing a password: it lets a request through when its user has proved who
// they are less than d ago, by a login or [Manager.Reauthenticate] (ASVS 5.0,
// 7.5.1, 7.5.3); nothing else counts. Longer ago: 403, its error is
// [ErrReauthenticate]. Otherwise as RequireLevel. It asks the store for the time
// ([Now]); only where the session is no [Clock] the one of this machine counts. It
// panics when d is not positive.
func (m *Manager) RequireFresh(d time.Duration) mist.Middleware {
	if d <= 0 {
		panic("session: RequireFresh: duration is not positive")
	}
	return m.guard(func(ctx *mist.Context) error { return m.fresh(ctx, d, ErrReauthenticate) })
}

// fresh returns stale where the user of the request proved who they are d ago or longer.
func (m *Manager) fresh(ctx *mist.Context, d time.Duration, stale error) error {
	s, info, err := m.user(ctx)
	if err != nil {
		return err
	}
	now, err := Now(ctx.Request.Context(), s)
	if errors.Is(err, errors.ErrUnsupported) {
		now, err = time.Now(), nil
	}
	if err != nil {
		return m.failed(ctx.Request.Context(), err)
	}
	// From the future, by a clock that is off: not fresh for ever, either.
	if age := now.Sub(info.AuthenticatedAt); age >= d || age <= -d {
		return stale
	}
	return nil
}

// user is the session of the request if somebody is logged in with it.
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

// guard returns a middleware that lets a request through when allowed says so.
func (m *Manager) guard(allowed func(ctx *mist.Context) error) mist.Middleware {
	return func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			err := allowed(ctx)
			var form *formError
			switch {
			case err == nil:
				next(ctx)
			case ctx == nil || ctx.Request == nil || ctx.ResponseWriter == nil:
				// There is nobody to answer.
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
