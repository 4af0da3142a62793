package session

import (
	"context"

	"github.com/dormoron/mist"
)

type contextKey struct{}

// FromContext returns the session of the request that ctx belongs to, for code without a
// mist context. It needs [Manager.Middleware] around the request and loads the session on
// first use. It returns the same Session and the same errors as [Manager.GetSession]. It
// sees a session that the application put under CtxSessionKey only after the first
// GetSession. If two managers wrap a request, FromContext returns the inner manager's
// session.
//
// ctx is the context of the request, a context derived from it, or the *mist.Context
// itself. Do not pass the result of the mist context's Context method, because mist made it
// before any middleware ran. For any other context, FromContext fails with an error that
// matches [ErrNotFound].
func FromContext(ctx context.Context) (Session, error) {
	if mctx, ok := ctx.(*mist.Context); ok {
		ctx = nil // its methods panic without a request
		if mctx != nil && mctx.Request != nil {
			ctx = mctx.Request.Context()
		}
	}
	if ctx == nil {
		return nil, noMiddlewareError{}
	}
	st, ok := ctx.Value(contextKey{}).(*managerState)
	if !ok {
		return nil, noMiddlewareError{}
	}
	if s := st.currentSession(); s != nil {
		return s, nil
	}
	return st.load(st.context(ctx, nil), st.origin, nil)
}

// currentSession returns the session that the request already has, or nil, without a mist
// context.
func (st *managerState) currentSession() Session {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	if st.slot == nil {
		return nil
	}
	return st.slot.Session
}

type noMiddlewareError struct{}

func (noMiddlewareError) Error() string {
	return "session: the context belongs to no request with Manager.Middleware"
}

func (noMiddlewareError) Is(target error) bool { return target == ErrNotFound }
