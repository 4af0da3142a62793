package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// behind is a flow behind the Middleware of a Manager.
func behind(m *session.Manager, flows ...seamFlow) seamFlow {
	return func(ctx *mist.Context) (err error) {
		m.Middleware()(func(ctx *mist.Context) { err = inOrder(flows...)(ctx) })(ctx)
		return err
	}
}

// failing is a flow that has to fail with an error.
func failing(want error, flow seamFlow) seamFlow {
	return func(ctx *mist.Context) error {
		if err := flow(ctx); !errors.Is(err, want) {
			return fmt.Errorf("got %w, want %w", err, want)
		}
		return nil
	}
}

// ungiven fails where the response has a cookie already.
func ungiven(ctx *mist.Context) error {
	if ctx.ResponseWriter.Header()["Set-Cookie"] != nil {
		return errors.New("the client was given a cookie before the header went out")
	}
	return nil
}

// Managers of one store and one cookie know one session, whichever of them does what and
// in whatever order they come to know of the request.
func TestSeamManagers(t *testing.T) {
	for name, wrap := range map[string]func(*sealed.Store) session.Store{
		"a store":      func(st *sealed.Store) session.Store { return st },
		"its wrappers": func(st *sealed.Store) session.Store { return &webtest.WrappedStore{Store: st} },
	} {
		for _, tt := range []struct {
			name string
			user string // before; empty: anonymous
			page func(m1, m2 *session.Manager) seamFlow
			want string
		}{
			{"both write, the inner one last", "", func(m1, m2 *session.Manager) seamFlow {
				return behind(m1, behind(m2, storing(m1, "other", 1), newValue(m2)))
			}, "anonymous with new"},
			{"both write, the outer one last", "", func(m1, m2 *session.Manager) seamFlow {
				return behind(m1, behind(m2, storing(m2, "other", 1), newValue(m1)))
			}, "anonymous with new"},
			{"both write, the outer one first", "", func(m1, m2 *session.Manager) seamFlow {
				return behind(m1, behind(m2, newValue(m1), storing(m2, "other", 1)))
			}, "anonymous with new"},
			{"a refresh, and a login by the other one", "", func(m1, m2 *session.Manager) seamFlow {
				return behind(m1, behind(m2, m1.RefreshSession, asAlice(m2)))
			}, "alice"},
			{"a write, and a logout by the other one", "alice", func(m1, m2 *session.Manager) seamFlow {
				return behind(m1, behind(m2, newValue(m2), m1.RemoveSession))
			}, "nobody"},
			{"a login, and a logout by the other one", "alice", func(m1, m2 *session.Manager) seamFlow {
				return behind(m1, reading(m1), asAlice(m2), m1.RemoveSession)
			}, "nobody"},
			{"another user's login, and the other one goes on", "alice", func(m1, m2 *session.Manager) seamFlow {
				gone := session.ErrNotFound
				return behind(m1, reading(m1), webtest.LogIn(m2, "bob"), failing(gone, m1.RefreshSession), failing(gone, m1.RotateSession))
			}, "bob"},
			{"one is there before any Middleware", "", func(m1, m2 *session.Manager) seamFlow {
				return inOrder(reading(m1), behind(m2, behind(m1), newValue(m2)))
			}, "anonymous with new"},
			{"one is there before the Middleware of the other", "", func(m1, m2 *session.Manager) seamFlow {
				return inOrder(reading(m2), behind(m1, newValue(m1), ungiven))
			}, "anonymous with new"},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
				m1 := &session.Manager{Store: wrap(st), Propagator: &cookie.Propagator{}, CtxSessionKey: "a"}
				m2 := &session.Manager{Store: wrap(st), Propagator: &cookie.Propagator{}, CtxSessionKey: "b"}
				b, begin := &webtest.Browser{}, beginning(m1)
				if tt.user != "" {
					begin = webtest.LogIn(m1, tt.user)
				}
				b.Visit(t, succeeds(t, begin))
				b.Visit(t, succeeds(t, tt.page(m1, m2)))
				check(t, "the next request", seen(t, b, m1), tt.want, nil)
			})
		}
	}
}

// Two Managers of one cookie that come first together share their session as well.
func TestSeamManagersTogether(t *testing.T) {
	const rounds = 2000
	st := sealedStore()
	first := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-other"}}
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(&session.Manager{Store: st, Propagator: &cookie.Propagator{}})))
	for range rounds {
		managers := []*session.Manager{
			{Store: st, Propagator: &cookie.Propagator{}, CtxSessionKey: "a"},
			{Store: st, Propagator: &cookie.Propagator{}, CtxSessionKey: "b"},
		}
		tab := b.Tab()
		tab.Visit(t, first.Middleware()(func(ctx *mist.Context) {
			var all sync.WaitGroup
			gate := make(chan struct{})
			for _, m := range managers {
				all.Go(func() {
					<-gate
					succeeds(t, reading(m))(ctx)
				})
			}
			close(gate)
			all.Wait()
			succeeds(t, inOrder(newValue(managers[0]), storing(managers[1], "other", 1)))(ctx)
		}))
		if got := seen(t, tab, managers[0]); got != "anonymous with new" {
			t.Fatalf("the next request: got %q, want both writes", got)
		}
	}
}

// A namedCookie is a propagator of somebody else's, which does not say what it writes.
type namedCookie string

func (name namedCookie) Inject(id string, w http.ResponseWriter) error {
	http.SetCookie(w, &http.Cookie{Name: string(name), Value: id, Secure: true, HttpOnly: true})
	return nil
}

func (name namedCookie) Extract(r *http.Request) (string, error) {
	c, err := r.Cookie(string(name))
	if err != nil {
		return "", session.ErrNotFound
	}
	return c.Value, nil
}

func (name namedCookie) Remove(w http.ResponseWriter) error {
	http.SetCookie(w, &http.Cookie{Name: string(name), MaxAge: -1, Secure: true, HttpOnly: true})
	return nil
}

// Managers of one store whose sessions go to different places have nothing in common:
// neither sees the session of the other one, or takes its place.
func TestSeamApart(t *testing.T) {
	for name, p := range map[string]struct{ first, second session.Propagator }{
		"two cookies of somebody else's": {namedCookie("shop"), namedCookie("admin")},
		"a cookie and a header of one name": {
			&cookie.Propagator{Name: "X-Session", Insecure: true}, &header.Propagator{Name: "X-Session"},
		},
		"two cookies": {&cookie.Propagator{}, &cookie.Propagator{Name: "__Host-other"}},
	} {
		for store, st := range seedStores() {
			t.Run(name+"/"+store, func(t *testing.T) {
				first := &session.Manager{Store: st, Propagator: p.first, CtxSessionKey: "a"}
				second := &session.Manager{Store: st, Propagator: p.second, CtxSessionKey: "b"}
				req := httptest.NewRequest(http.MethodGet, "/", nil)
				visit := func(flow seamFlow) {
					t.Helper()
					w := httptest.NewRecorder()
					succeeds(t, flow)(&mist.Context{Request: req.Clone(t.Context()), ResponseWriter: w})
					for _, c := range w.Result().Cookies() {
						req.AddCookie(c)
					}
					if values := w.Header()["X-Session"]; values != nil {
						req.Header["X-Session"] = values
					}
				}
				visit(asAlice(first))
				visit(inOrder(reading(first), failing(session.ErrNotFound, reading(second)), webtest.LogIn(second, "bob"), reading(first)))
				var users [2]string
				visit(func(ctx *mist.Context) error {
					for i, m := range []*session.Manager{first, second} {
						info, err := session.Describe(webtest.Loaded(t, m, ctx))
						if users[i] = info.User; err != nil {
							return err
						}
					}
					return nil
				})
				check(t, "the users", users, [2]string{"alice", "bob"}, nil)
			})
		}
	}
}

// incomparable is a store that is wrapped in a type without ==.
type incomparable struct {
	*sealed.Store
	options []string
}

// Managers of wrappers that cannot be compared go on by themselves.
func TestSeamIncomparable(t *testing.T) {
	st := incomparable{sealedStore(), []string{"option"}}
	m1 := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, CtxSessionKey: "a"}
	m2 := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, CtxSessionKey: "b"}
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m1)))
	b.Visit(t, succeeds(t, inOrder(reading(m1), newValue(m2))))
	check(t, "the next request", seen(t, b, m1), "anonymous with new", nil)
}

// Whoever keeps a session keeps nothing of the request that it came with, also where
// another Manager knew of the request before the Middleware.
func TestSeamSessionKeepsNoRequest(t *testing.T) {
	for _, before := range []bool{false, true} {
		for name, st := range seedStores() {
			t.Run(fmt.Sprintf("%s/another before %t", name, before), func(t *testing.T) {
				m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, CtxSessionKey: "a"}
				other := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, CtxSessionKey: "b"}
				b := &webtest.Browser{}
				b.Visit(t, succeeds(t, beginning(m)))
				requests, writers := make(chan struct{}, 1), make(chan struct{}, 1)
				kept := func() (kept session.Session) {
					ctx := &mist.Context{Request: b.Request(t.Context()), ResponseWriter: httptest.NewRecorder()}
					runtime.AddCleanup(ctx.Request, func(c chan struct{}) { close(c) }, requests)
					runtime.AddCleanup(ctx.ResponseWriter.(*httptest.ResponseRecorder), func(c chan struct{}) { close(c) }, writers)
					if before {
						succeeds(t, reading(other))(ctx)
					}
					m.Middleware()(func(ctx *mist.Context) { kept = webtest.Loaded(t, m, ctx) })(ctx)
					_ = m.RefreshSession(ctx) // too late
					return kept
				}()
				for what, gone := range map[string]chan struct{}{"request": requests, "response writer": writers} {
					webtest.Eventually(t, "the "+what+" can be freed", func() bool {
						runtime.GC()
						select {
						case <-gone:
							return true
						default:
							return false
						}
					})
				}
				runtime.KeepAlive(kept)
			})
		}
	}
}
