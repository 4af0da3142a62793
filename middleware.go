package session

import (
	"context"
	"mime/multipart"
	"net/http"

	"github.com/dormoron/mist"
)

// Middleware returns a middleware. The other methods work without it. It adds four things:
//
//   - it removes the session of an earlier request from the pooled mist context, before and
//     after the handler and after a panic. That includes a session that the application put
//     under CtxSessionKey;
//   - it notices when the response header goes out, so a login that comes too late fails
//     with [ErrHeaderWritten] instead of losing its cookie;
//   - [FromContext] works;
//   - it gives sessions of a [ClientStore] to the client once per request, just before the
//     header goes out or when the Middleware returns. A later write to them fails with
//     [ErrHeaderWritten].
//
// Its response writer has Unwrap, Flush, Hijack and ReadFrom. When the Middleware returns,
// it removes the temporary files of forms that a handler parsed. Handlers get a copy of the
// request, as after [http.Request.WithContext].
//
// Applying it twice to one request, or for several managers, is harmless. Middleware panics
// if [Manager.Check] fails.
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
			again := m.state(ctx).wrap(ctx)
			if copied := ctx.Request; copied != origin {
				defer func() {
					copyPattern(origin, ctx.Request)
					removeFiles(form, copied, ctx.Request)
				}()
			}
			if again {
				next(ctx)
				return
			}
			// The handler may replace the contents of ctx, but st and w stay.
			st := m.state(ctx)
			w := trackWriter(ctx, st.request)
			st.writer = w
			st.response.attach(st)
			defer func() {
				st.cleanUserValues(ctx, nil)
				if w.hijacked.Load() {
					ctx.RespData = nil // mist would write it to the hijacked connection
				}
			}()
			defer st.detach()
			next(ctx)
		}
	}
}

// wrap prepares the request for the Middleware. It reports whether an earlier call did so.
func (st *managerState) wrap(ctx *mist.Context) (before bool) {
	st.request.mu.Lock()
	before, st.wrapped = st.wrapped, true
	keep := st.slot
	st.request.mu.Unlock()
	if !before {
		st.cleanUserValues(ctx, keep)
		st.origin = ctx.Request
	}
	// A middleware between the two may have replaced the request's context.
	if reqctx := ctx.Request.Context(); reqctx.Value(contextKey{}) != st {
		if ctx.Request.Trailer == nil && ctx.Request.ContentLength < 0 {
			ctx.Request.Trailer = make(http.Header) // net/http adds trailers here after the body
		}
		ctx.Request = ctx.Request.WithContext(context.WithValue(reqctx, contextKey{}, st))
	}
	return before
}

// copyPattern copies the Pattern that an inner mux set on a copy to the request of
// net/http. copied is nil if the handler removed the copy.
func copyPattern(origin, copied *http.Request) {
	if copied != nil && copied.Pattern != origin.Pattern {
		origin.Pattern = copied.Pattern
	}
}

// removeFiles removes the temporary files of forms that were parsed on copies of a request.
// net/http removes only those of its own request, and none after a panic or a hijack.
// before is the form that the request already had; its parser removes it.
func removeFiles(before *multipart.Form, copies ...*http.Request) {
	for _, r := range copies {
		if r != nil && r.MultipartForm != nil && r.MultipartForm != before {
			_ = r.MultipartForm.RemoveAll() // nothing here can repair a failed removal
		}
	}
}

// cleanUserValues removes the value under CtxSessionKey, unless it is keep.
func (st *managerState) cleanUserValues(ctx *mist.Context, keep *slot) {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	key := st.manager.ctxSessionKey()
	if v := ctx.UserValues[key]; v != any(keep) || keep == nil {
		delete(ctx.UserValues, key)
	}
}
