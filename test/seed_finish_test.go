package session_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sessiontest"
)

// A middleware that cannot begin, because the store is down, reaches the error handler and
// never panics; hostile cookies are nobody, and no error.
func TestSeedCannotBegin(t *testing.T) {
	for name, store := range seedStores() {
		faulty := &sessiontest.FaultStore{Store: store}
		var told error
		m := &session.Manager{Store: faulty, Propagator: &cookie.Propagator{Insecure: true}, ErrorHandler: func(_ *mist.Context, err error) { told = err }}
		w := httptest.NewRecorder()
		sound(t)(m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w}))
		good := w.Result().Cookies()[0].String()
		faulty.Reset(func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailBefore })
		for cookies, want := range map[string]error{
			good:                    sessiontest.ErrFault,
			"":                      session.ErrNotFound,
			"session=\x00\xff":      session.ErrNotFound,
			"session=a; session=b":  session.ErrMultiple,
			"session=" + good + `"`: session.ErrNotFound,
		} {
			reached := false
			told = nil
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header["Cookie"] = []string{cookies}
			m.Middleware()(m.RequireSession()(func(*mist.Context) { reached = true }))(&mist.Context{Request: req, ResponseWriter: httptest.NewRecorder()})
			if reached || !errors.Is(told, want) {
				t.Errorf("%s: the handler was reached: %t; got %v, want %v", name, reached, told, want)
			}
		}
		// Elsewhere a missing request reaches the error handler, too. Here it does not, because
		// an error handler answers requests.
		reached := false
		told = nil
		m.Middleware()(m.RequireSession()(func(*mist.Context) { reached = true }))(&mist.Context{ResponseWriter: httptest.NewRecorder()})
		if reached || told != nil {
			t.Errorf("%s: without a request the handler was reached: %t; got %v, want nothing", name, reached, told)
		}
	}
}

// A countedPropagator counts what goes to clients.
type countedPropagator struct {
	*cookie.Propagator
	given atomic.Int32
}

func (p *countedPropagator) Inject(id string, w http.ResponseWriter) error {
	p.given.Add(1)
	return p.Propagator.Inject(id, w)
}

// Whatever happens to a request, its session is finished exactly once: what was written
// goes to the client once, and nothing stays behind for the next request.
func TestSeedFinishedOnce(t *testing.T) {
	for what, end := range map[string]func(ctx *mist.Context){
		"it returns":                   func(*mist.Context) {},
		"it answers":                   func(ctx *mist.Context) { _, _ = io.WriteString(ctx.ResponseWriter, "page") },
		"it answers by mist":           func(ctx *mist.Context) { _ = ctx.RespondWithJSON(http.StatusOK, "page") },
		"it writes the header twice":   func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(200); ctx.ResponseWriter.WriteHeader(500) },
		"it flushes":                   func(ctx *mist.Context) { _ = http.NewResponseController(ctx.ResponseWriter).Flush() },
		"it takes over the connection": func(ctx *mist.Context) { _, _, _ = http.NewResponseController(ctx.ResponseWriter).Hijack() },
		"it panics":                    func(*mist.Context) { panic("seed") },
		"it panics after an answer":    func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(200); panic("seed") },
		"it ends its goroutine":        func(*mist.Context) { runtime.Goexit() },
		"it replaces the request":      func(ctx *mist.Context) { ctx.Request = httptest.NewRequest(http.MethodGet, "/", nil) },
		"it hides the response's writer": func(ctx *mist.Context) {
			ctx.ResponseWriter = webtest.UnwrappingWriter{ResponseWriter: ctx.ResponseWriter}
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := &countedPropagator{Propagator: &cookie.Propagator{Insecure: true}}
			m := &session.Manager{Store: seedStores()["sealed"], Propagator: p}
			w := httptest.NewRecorder()
			sound(t)(m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w}))
			carried := w.Result().Cookies()[0].String()
			p.given.Store(0)

			w = httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header["Cookie"] = []string{carried}
			ctx := &mist.Context{Request: req, ResponseWriter: w}
			over := make(chan struct{})
			go func() { // Goexit ends it
				defer close(over)
				defer func() { _ = recover() }()
				m.Middleware()(func(ctx *mist.Context) {
					s := sound(t)(m.GetSession(ctx))
					for i := range 10 {
						check(t, "Set", s.Set(t.Context(), "k", i), error(nil), nil)
					}
					end(ctx)
				})(ctx)
			}()
			<-over
			check(t, "given to the client", p.given.Load(), int32(1), nil)
			check(t, "cookies in the response", len(w.Header()["Set-Cookie"]), 1, nil)
			check(t, "left for the next request", len(ctx.UserValues), 0, nil)

			next := httptest.NewRequest(http.MethodGet, "/", nil)
			next.Header["Cookie"] = []string{(&http.Response{Header: w.Header()}).Cookies()[0].String()}
			s := sound(t)(m.GetSession(&mist.Context{Request: next, ResponseWriter: httptest.NewRecorder()}))
			got, err := s.Get(t.Context(), "k")
			check(t, "in the next request", got, 9, err)
		})
	}
}
