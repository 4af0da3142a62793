package session

import (
	"context"
	"mime/multipart"
	"net/http"

	"github.com/dormoron/mist"
)

// Middleware returns a middleware that is not needed for anything above, and
// adds four things:
//
//   - it drops what an earlier request left in the pooled mist context under
//     CtxSessionKey, on the way in and on the way out, also when a handler
//     panics, and also what the application put there by hand;
//   - it notices when the response header is out, so that a login that comes
//     too late is [ErrHeaderWritten] instead of a cookie that gets lost;
//   - [FromContext] works;
//   - sessions of a [ClientStore] are given to the client once for all writes of a
//     request, just before the header goes out or when the Middleware returns. After
//     that a write to them is [ErrHeaderWritten].
//
// The response writer it puts in place has Unwrap, Flush, Hijack and ReadFrom. The
// temporary files of a form that a handler parses are removed when the Middleware
// returns. To handlers the request is a copy, as after [http.Request.WithContext].
//
// It is harmless twice around one request, and for several managers around one.
// It panics when [Manager.Check] fails.
func (m *Manager) Middleware() mist.Middleware {
	if err := m.Check(); err != nil {
		panic(err)
	}
	return func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			if err := m.usable(ctx, true); err != nil {
				next(ctx)
				return
			}
			origin, form := ctx.Request, ctx.Request.MultipartForm
			again := m.entry(ctx).wrap(ctx)
			if copied := ctx.Request; copied != origin {
				defer func() {
					handBack(origin, ctx.Request)
					removeFiles(form, copied, ctx.Request)
				}()
			}
			if again {
				next(ctx)
				return
			}
			// The handler may replace what ctx holds; the state stays this one.
			e := m.entry(ctx)
			w := track(ctx, e.request)
			e.writer = w
			e.response.enter(e)
			defer func() {
				e.clean(ctx, nil)
				if w.hijacked.Load() {
					ctx.RespData = nil // mist would write it to a connection that is not its any more
				}
			}()
			defer e.leave()
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
		if ctx.Request.Trailer == nil && ctx.Request.ContentLength < 0 {
			ctx.Request.Trailer = make(http.Header) // net/http adds to it when it has read the body
		}
		ctx.Request = ctx.Request.WithContext(context.WithValue(reqctx, contextKey{}, e))
	}
	return before
}

// handBack gives the request of net/http what a mux inside has noted on a copy of
// it; the handler may have taken the copy away.
func handBack(origin, copied *http.Request) {
	if copied != nil && copied.Pattern != origin.Pattern {
		origin.Pattern = copied.Pattern
	}
}

// removeFiles removes the temporary files of forms that were parsed on copies of a
// request: net/http removes only those of the request that it made, and none after
// a panic or a hijack. before is the form that the request had already; it belongs
// to whoever parsed it.
func removeFiles(before *multipart.Form, copies ...*http.Request) {
	for _, r := range copies {
		if r != nil && r.MultipartForm != nil && r.MultipartForm != before {
			_ = r.MultipartForm.RemoveAll() // a file that cannot be removed is nobody's to mend here
		}
	}
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
