package session

import (
	"context"

	"github.com/dormoron/mist"
)

// Middleware returns a middleware that is not needed for anything above, and
// adds three things:
//
//   - it drops what an earlier request left in the pooled mist context under
//     CtxSessionKey, on the way in and on the way out, also when a handler
//     panics, and also what the application put there by hand;
//   - it notices when the response header is out, so that a login that comes
//     too late is [ErrHeaderWritten] instead of a cookie that gets lost;
//   - [FromContext] works.
//
// The response writer it puts in place has Unwrap, Flush, Hijack and ReadFrom.
// It is harmless twice around one request, and for several managers around one.
// It panics when [Manager.Check] fails.
func (m *Manager) Middleware() mist.Middleware {
	if err := m.Check(); err != nil {
		panic(err)
	}
	return func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			if err := m.usable(ctx, true); err != nil || m.entry(ctx).wrap(ctx) {
				next(ctx)
				return
			}
			// The handler may replace what ctx holds; the state stays this one.
			e, w := m.entry(ctx), track(ctx)
			e.writer = w
			defer func() {
				e.clean(ctx, nil)
				if w.hijacked.Load() {
					ctx.RespData = nil // mist would write it to a connection that is not its any more
				}
			}()
			next(ctx)
		}
	}
}

// wrap prepares the request for the Middleware; it reports whether that had
// been done before.
func (e *entry) wrap(ctx *mist.Context) (before bool) {
	e.request.mu.Lock()
	before, e.wrapped = e.wrapped, true
	keep := e.slot
	e.request.mu.Unlock()
	if !before {
		e.clean(ctx, keep)
		e.origin = ctx.Request
	}
	// A middleware in between may have replaced the request's context.
	if reqctx := ctx.Request.Context(); reqctx.Value(contextKey{}) != e {
		ctx.Request = ctx.Request.WithContext(context.WithValue(reqctx, contextKey{}, e))
	}
	return before
}

// clean takes everything but keep from under CtxSessionKey.
func (e *entry) clean(ctx *mist.Context, keep *slot) {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	key := e.manager.ctxSessionKey()
	if v := ctx.UserValues[key]; v != any(keep) || keep == nil {
		delete(ctx.UserValues, key)
	}
}
