package session

import (
	"context"

	"github.com/dormoron/mist"
)

type contextKey struct{}

// FromContext returns the session of the request that ctx belongs to, for code
// that has no mist context. It needs [Manager.Middleware] around the request,
// loads the session on first use, and gives the same Session as
// [Manager.GetSession], with the same errors. (One that the application put
// under CtxSessionKey by hand is seen after the first GetSession.) Of two managers
// around one request it is the inner one's session.
//
// ctx is the context of the request, one derived from it, or the *mist.Context
// itself; not what its Context method returns, which mist made before any
// middleware ran. A context of no such request is an error that matches
// [ErrNotFound].
func FromContext(ctx context.Context) (Session, error) {
	if mctx, ok := ctx.(*mist.Context); ok {
		ctx = nil // its methods panic where there is no request
		if mctx != nil && mctx.Request != nil {
			ctx = mctx.Request.Context()
		}
	}
	if ctx == nil {
		return nil, noMiddlewareError{}
	}
	e, ok := ctx.Value(contextKey{}).(*entry)
	if !ok {
		return nil, noMiddlewareError{}
	}
	if s := e.shown(); s != nil {
		return s, nil
	}
	return e.load(e.context(ctx, nil), e.origin, nil)
}

// shown returns the session that the request has already, or nil, where there is
// no mist context to look at.
func (e *entry) shown() Session {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	if e.slot == nil {
		return nil
	}
	return e.slot.Session
}

type noMiddlewareError struct{}

func (noMiddlewareError) Error() string {
	return "session: context of no request behind Manager.Middleware"
}

func (noMiddlewareError) Is(target error) bool { return target == ErrNotFound }
