package session

import "context"

type contextKey struct{}

// FromContext returns the session of the request that ctx belongs to, for code
// that has no mist context. It needs [Manager.Middleware] around the request,
// loads the session on first use, and gives the same Session as
// [Manager.GetSession], with the same errors. A context of no such request is an
// error that matches [ErrNotFound]. Of two managers around one request it is the
// inner one's session.
func FromContext(ctx context.Context) (Session, error) {
	if ctx == nil {
		return nil, noMiddlewareError{}
	}
	e, ok := ctx.Value(contextKey{}).(*entry)
	if !ok {
		return nil, noMiddlewareError{}
	}
	e.request.mu.Lock()
	loaded := e.slot
	e.request.mu.Unlock()
	if loaded != nil {
		return loaded.Session, nil
	}
	return e.load(ctx, e.origin, nil)
}

type noMiddlewareError struct{}

func (noMiddlewareError) Error() string {
	return "session: context of no request behind Manager.Middleware"
}

func (noMiddlewareError) Is(target error) bool { return target == ErrNotFound }
