package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// eitherWay runs a test for a Manager of each of the stores, with and without Middleware.
func eitherWay(t *testing.T, stores []string, test func(t *testing.T, m *session.Manager, around func(flow seamFlow) seamFlow)) {
	t.Helper()
	for _, name := range stores {
		for _, wrapped := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/Middleware %t", name, wrapped), func(t *testing.T) {
				m := &session.Manager{Store: seedStores()[name], Propagator: &cookie.Propagator{}}
				test(t, m, func(flow seamFlow) seamFlow {
					if wrapped {
						return behind(m, flow)
					}
					return flow
				})
			})
		}
	}
}

// A failingPropagator fails while it is told to.
type failingPropagator struct {
	*cookie.Propagator
	fails atomic.Bool
}

var errInject = errors.New("the propagator of a test fails")

func (p *failingPropagator) Inject(id string, w http.ResponseWriter) error {
	if p.fails.Load() {
		return errInject
	}
	return p.Propagator.Inject(id, w)
}

// A new session that cannot be given to the client changes nothing: the session before
// can be written, and what was written to it before that reaches the client.
func TestSeamBeginFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		begin  func(m *session.Manager) seamFlow
		stores []string
	}{
		{"a new session", beginning, []string{"memory", "sealed"}},
		{"a login", asAlice, []string{"sealed"}}, // elsewhere it has ended the anonymous session
	} {
		eitherWay(t, tt.stores, func(t *testing.T, m *session.Manager, around func(seamFlow) seamFlow) {
			p := &failingPropagator{Propagator: &cookie.Propagator{}}
			m.Propagator = p
			b := &webtest.Browser{}
			fails := func(ctx *mist.Context) error {
				p.fails.Store(true)
				defer p.fails.Store(false)
				return failing(errInject, tt.begin(m))(ctx)
			}
			b.Visit(t, succeeds(t, beginning(m)))
			b.Visit(t, succeeds(t, around(inOrder(storing(m, "k", "first"), fails))))
			check(t, tt.name+", a write before", seen(t, b, m), "anonymous with first", nil)
			b.Visit(t, succeeds(t, around(func(ctx *mist.Context) error {
				s := webtest.Loaded(t, m, ctx)
				return errors.Join(fails(ctx), s.Set(t.Context(), "k", "second"))
			})))
			check(t, tt.name+", a write after", seen(t, b, m), "anonymous with second", nil)
		})
	}
}

// A session that just fits can be refreshed and rotated, and its visitor can log in.
func TestSeamFull(t *testing.T) {
	eitherWay(t, []string{"sealed"}, func(t *testing.T, m *session.Manager, around func(seamFlow) seamFlow) {
		synctest.Test(t, func(t *testing.T) {
			b := &webtest.Browser{}
			b.Visit(t, succeeds(t, around(func(ctx *mist.Context) error {
				s, err := m.InitSession(ctx)
				for n := 4096; err == nil; n-- {
					if err := s.Set(t.Context(), "big", strings.Repeat("x", n)); !errors.Is(err, session.ErrTooLarge) {
						return err
					}
				}
				return err
			})))
			for _, flow := range []seamFlow{m.RefreshSession, m.RotateSession, webtest.LogIn(m, "alice@example.com"), webtest.Reauthenticate(m), m.RefreshSession} {
				time.Sleep(59 * time.Second)
				b.Visit(t, succeeds(t, around(flow)))
			}
			check(t, "in the end", seen(t, b, m), "alice@example.com", nil)
		})
	})
}

// A propagator that panics when the header goes out has sent nothing, and nothing of the
// request is left for the next one.
func TestSeamPropagatorPanics(t *testing.T) {
	m, h := newSeam(sealedStore())
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m)))
	boom := func() { h.stop("inject", func() { panic("the propagator of a test") }) }
	recovered := func(f func()) {
		defer func() { _ = recover() }()
		f()
	}
	for what, page := range map[string]mist.HandleFunc{
		"when the handler writes": func(ctx *mist.Context) {
			boom()
			recovered(func() { _, _ = io.WriteString(ctx.ResponseWriter, "page") })
			succeeds(t, beginning(m))(ctx)
		},
		"when the Middleware returns": func(*mist.Context) { boom() },
	} {
		ctx := &mist.Context{Request: b.Request(t.Context()), ResponseWriter: httptest.NewRecorder()}
		recovered(func() {
			m.Middleware()(func(ctx *mist.Context) {
				succeeds(t, newValue(m))(ctx)
				page(ctx)
			})(ctx)
		})
		check(t, what+": left for the next request", len(ctx.UserValues), 0, nil)
	}
}

// After the Middleware has returned nobody writes to a session that its client keeps: it
// is ErrHeaderWritten, and the client has what it had.
func TestSeamMiddlewareReturned(t *testing.T) {
	for name, want := range map[string]error{"sealed": session.ErrHeaderWritten, "memory": nil} {
		t.Run(name, func(t *testing.T) {
			m := &session.Manager{Store: seedStores()[name], Propagator: &cookie.Propagator{}}
			b := &webtest.Browser{}
			b.Visit(t, succeeds(t, beginning(m)))

			server := mist.InitHTTPServer()
			server.Use(m.Middleware()) // mist runs it inside of the middlewares of routes
			var kept session.Session
			server.GET("/", func(ctx *mist.Context) { kept = webtest.Loaded(t, m, ctx) }, func(next mist.HandleFunc) mist.HandleFunc {
				return func(ctx *mist.Context) {
					next(ctx)
					for what, flow := range map[string]seamFlow{"a write": newValue(m), "a refresh": m.RefreshSession} {
						if err := flow(ctx); !errors.Is(err, want) {
							t.Errorf("%s of a middleware of the route: got %v, want %v", what, err, want)
						}
					}
				}
			})
			b.Visit(t, func(ctx *mist.Context) { server.ServeHTTP(ctx.ResponseWriter, ctx.Request) })
			if err := kept.Set(t.Context(), "other", 1); !errors.Is(err, want) {
				t.Errorf("a write after the request: got %v, want %v", err, want)
			}
			then := map[bool]string{true: "anonymous", false: "anonymous with new"}[want != nil]
			check(t, "the next request", seen(t, b, m), then, nil)
		})
	}
}

// A logout succeeds also where another goroutine has ended the session already.
func TestSeamLogoutTwice(t *testing.T) {
	eitherWay(t, []string{"memory", "sealed"}, func(t *testing.T, m *session.Manager, around func(seamFlow) seamFlow) {
		b := &webtest.Browser{}
		b.Visit(t, succeeds(t, beginning(m)))
		b.Visit(t, succeeds(t, around(func(ctx *mist.Context) error {
			s := webtest.Loaded(t, m, ctx)
			err := m.RemoveSession(ctx)
			ctx.UserValues = map[string]any{"session": s} // what the other one still has
			return errors.Join(err, m.RemoveSession(ctx))
		})))
		if len(b.Cookies) != 0 {
			t.Error("the client has a cookie after the logout")
		}
	})
}

// Where there is no response to carry it a write fails.
func TestSeamNoWriter(t *testing.T) {
	m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m)))
	ctx := &mist.Context{Request: b.Request(t.Context())}
	if err := webtest.Loaded(t, m, ctx).Set(t.Context(), "k", "new"); err == nil {
		t.Error("got nil for a write that the client cannot be given")
	}
}

// Without a Middleware of its own a Manager knows from that of another one that the
// header is out.
func TestSeamOtherMiddleware(t *testing.T) {
	m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}}
	other := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-other"}, CtxSessionKey: "other"}
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m)))
	b.Visit(t, succeeds(t, behind(other, reading(m), func(ctx *mist.Context) error {
		ctx.ResponseWriter.WriteHeader(http.StatusOK)
		return failing(session.ErrHeaderWritten, newValue(m))(ctx)
	})))
	check(t, "the next request", seen(t, b, m), "anonymous", nil)
}

// Each call gives the client one token, and not another one after its turn.
func TestSeamGivenOnce(t *testing.T) {
	eitherWay(t, []string{"sealed"}, func(t *testing.T, m *session.Manager, around func(seamFlow) seamFlow) {
		p := &countedPropagator{Propagator: &cookie.Propagator{MaxAge: time.Hour}}
		m.Propagator = p
		b := &webtest.Browser{}
		b.Visit(t, succeeds(t, webtest.LogIn(m, "alice")))
		for name, flow := range map[string]seamFlow{
			"InitSession": beginning(m), "Login": webtest.LogIn(m, "alice"), "Set": newValue(m),
			"RefreshSession": m.RefreshSession, "RotateSession": m.RotateSession,
		} {
			tab := b.Tab()
			p.given.Store(0)
			tab.Visit(t, succeeds(t, around(flow)))
			check(t, name, p.given.Load(), int32(1), nil)
		}
	})
}

// A session is not bound to the context of the last call, which may end before it.
func TestSeamContextOfAnotherCall(t *testing.T) {
	eitherWay(t, []string{"memory", "sealed"}, func(t *testing.T, m *session.Manager, around func(seamFlow) seamFlow) {
		b := &webtest.Browser{}
		b.Visit(t, succeeds(t, beginning(m)))
		b.Visit(t, succeeds(t, around(func(ctx *mist.Context) error {
			s, whole := webtest.Loaded(t, m, ctx), ctx.Request
			part, cancel := context.WithCancel(whole.Context())
			ctx.Request = whole.WithContext(part)
			err := m.RefreshSession(ctx)
			cancel()
			ctx.Request = whole
			return errors.Join(err, s.Set(t.Context(), "k", "new"))
		})))
		check(t, "the next request", seen(t, b, m), "anonymous with new", nil)
	})
}

// The cookie of a persistent session lasts until the session ends, however late it is
// written again.
func TestSeamPersistent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}}
		b := &webtest.Browser{}
		b.Visit(t, succeeds(t, func(ctx *mist.Context) error {
			_, err := m.LoginWith(ctx, session.Login{User: "alice", Persistent: true, IdleTimeout: 10 * time.Hour, AbsoluteTimeout: 10 * time.Hour})
			return err
		}))
		time.Sleep(9 * time.Hour)
		given := http.Response{Header: b.Visit(t, succeeds(t, newValue(m)))}
		check(t, "Max-Age", given.Cookies()[0].MaxAge, 3600, nil)
	})
}

// A brokenStore fails when it refreshes.
type brokenStore struct {
	*memory.Store
	err error
}

func (s brokenStore) Refresh(context.Context, string) error { return s.err }

// EventFailed means that the store failed, also where errors.Is takes the error of a
// system call for one that says what cannot be done; a late call is no failure.
func TestSeamEventFailed(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"a system call", fmt.Errorf("dial: %w", syscall.EOPNOTSUPP), 1},
		{"what no such store can do", fmt.Errorf("refresh: %w", errors.ErrUnsupported), 0},
		{"the header is out", session.ErrHeaderWritten, 0},
	} {
		failed := 0
		m := &session.Manager{
			Store: brokenStore{&memory.Store{}, tt.err}, Propagator: &cookie.Propagator{},
			OnEvent: func(_ context.Context, e session.Event) {
				if e.Kind == session.EventFailed {
					failed++
				}
			},
		}
		(&webtest.Browser{}).Visit(t, succeeds(t, inOrder(beginning(m), failing(tt.err, m.RefreshSession))))
		check(t, tt.name, failed, tt.want, nil)
	}
}

// The way to the client is chosen once for a request, whatever happens to its header.
func TestSeamChoice(t *testing.T) {
	st := sealedStore()
	m := &session.Manager{Store: st, Propagator: session.Chain{&cookie.Propagator{}, &header.Propagator{}}}
	request := func() *http.Request {
		w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		api := &session.Manager{Store: st, Propagator: &header.Propagator{}}
		succeeds(t, beginning(api))(&mist.Context{Request: req, ResponseWriter: w})
		req.Header["Authorization"] = w.Header()["Authorization"]
		return req
	}
	forgetting := func(ctx *mist.Context) error {
		ctx.Request.Header.Del("Authorization")
		return nil
	}
	for name, flow := range map[string]seamFlow{
		"a write":                         inOrder(reading(m), forgetting, newValue(m)),
		"a write behind the Middleware":   behind(m, reading(m), forgetting, newValue(m)),
		"a logout":                        inOrder(reading(m), forgetting, m.RemoveSession),
		"a logout behind the Middleware":  behind(m, reading(m), forgetting, m.RemoveSession),
		"a login that forgot before that": behind(m, forgetting, webtest.LogIn(m, "alice")),
	} {
		w := httptest.NewRecorder()
		succeeds(t, flow)(&mist.Context{Request: request(), ResponseWriter: w})
		if w.Header()["Authorization"] == nil || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%s: got the headers %q, want Authorization and no cookie", name, webtest.HeaderNames(w.Header()))
		}
	}
}

// A choosing propagator looks at the request before it chooses.
type choosing struct {
	*cookie.Propagator
	look func(r *http.Request)
}

func (c choosing) Choose(r *http.Request) session.Propagator {
	c.look(r)
	return c.Propagator
}

// A choice may depend on the session of another Manager.
func TestSeamChoiceBySession(t *testing.T) {
	outer := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-other"}, CtxSessionKey: "a"}
	inner := &session.Manager{Store: sealedStore(), CtxSessionKey: "b", Propagator: choosing{&cookie.Propagator{}, func(r *http.Request) {
		_, _ = session.FromContext(r.Context())
	}}}
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		(&webtest.Browser{}).Visit(t, succeeds(t, behind(outer, failing(session.ErrNotFound, reading(inner)))))
	}()
	webtest.Eventually(t, "the request is answered", done.Load)
}
