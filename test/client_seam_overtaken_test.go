package session_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sealed"
)

// A goroutine of the handler overtakes another one in the middle of its call. What was
// acknowledged last is what the client has.
func TestSeamOvertaken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		user   string // before; empty: anonymous
		oldKey bool   // the seal that comes is of an old key
		revoke bool   // the store has Revoke
		own    func(m *session.Manager) seamFlow
		call   string // where the other goroutine comes in
		other  func(m *session.Manager) seamFlow
		err    error // of own; the other one succeeds
		want   string
	}{
		{
			name: "a load by a new session", call: "Open", other: beginning,
			own: func(m *session.Manager) seamFlow { return storing(m, "k", "new") }, want: "anonymous with new",
		},
		{
			name: "a load that replaces the seal by a new session", oldKey: true, own: reading, call: "Open",
			other: func(m *session.Manager) seamFlow { return inOrder(beginning(m), storing(m, "k", "new")) }, want: "anonymous with new",
		},
		{
			name: "a refresh by a logout", user: "alice", own: refreshing, call: "Refresh", other: removing,
			err: session.ErrNotFound, want: "nobody",
		},
		{
			name: "a rotation by a logout", user: "alice", own: rotating, call: "Rotate", other: removing,
			err: session.ErrNotFound, want: "nobody",
		},
		{
			name: "a rotation by a login", own: rotating, call: "Rotate",
			other: func(m *session.Manager) seamFlow { return webtest.LogIn(m, "alice") }, err: session.ErrNotFound, want: "alice with old",
		},
		{
			name: "a reauthentication by a logout", user: "alice", own: webtest.Reauthenticate, call: "inject", other: removing, want: "nobody",
		},
		{
			name: "a reauthentication by another", user: "alice", revoke: true, own: webtest.Reauthenticate, call: "inject", other: webtest.Reauthenticate, want: "alice with old",
		},
		{
			name: "a reauthentication by a rotation and a write", user: "alice", own: webtest.Reauthenticate, call: "inject",
			other: func(m *session.Manager) seamFlow { return inOrder(m.RotateSession, storing(m, "k", "new")) }, want: "alice with new",
		},
		{
			name: "a new session by another", own: beginning, call: "inject",
			other: func(m *session.Manager) seamFlow { return inOrder(beginning(m), storing(m, "k", "new")) }, want: "anonymous with new",
		},
	} {
		for way, wrapped := range map[string]bool{"Middleware": true, "without": false} {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := sealedStore()
					if !tt.revoke {
						st.Revoke = nil
					}
					first := &session.Manager{Store: &sealed.Store{Keys: st.Keys}, Propagator: &cookie.Propagator{}}
					b := &webtest.Browser{}
					begin := beginning(first)
					if tt.user != "" {
						begin = webtest.LogIn(first, tt.user)
					}
					b.Visit(t, succeeds(t, inOrder(begin, storing(first, "k", "old"))))
					if tt.oldKey {
						st.Keys = [][]byte{sealed.NewKey(), st.Keys[0]}
					}

					m, h := newSeam(st)
					page := func(ctx *mist.Context) {
						if tt.call != "Open" {
							webtest.Loaded(t, m, ctx)
						}
						var others sync.WaitGroup
						h.stop(tt.call, func() {
							others.Go(func() { succeeds(t, tt.other(m))(ctx) })
							synctest.Wait() // until it is done, or waits for its turn
						})
						if err := tt.own(m)(ctx); !errors.Is(err, tt.err) {
							t.Errorf("got %v, want %v", err, tt.err)
						}
						others.Wait()
					}
					if wrapped {
						page = m.Middleware()(page)
					}
					b.Visit(t, page)
					check(t, "the next request", seen(t, b, m), tt.want, nil)
				})
			})
		}
	}
}

func refreshing(m *session.Manager) seamFlow { return m.RefreshSession }
func rotating(m *session.Manager) seamFlow   { return m.RotateSession }
func removing(m *session.Manager) seamFlow   { return m.RemoveSession }

// What is pending never goes out over a login that the client has been given already.
func TestSeamPendingAndLogin(t *testing.T) {
	m, h := newSeam(sealedStore())
	b := &webtest.Browser{}
	b.Visit(t, succeeds(t, beginning(m)))
	b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
		succeeds(t, storing(m, "k", "new"))(ctx)
		h.stop("injected", func() { ctx.ResponseWriter.WriteHeader(http.StatusOK) })
		succeeds(t, webtest.LogIn(m, "alice"))(ctx)
	}))
	check(t, "the next request", seen(t, b, m), "alice with new", nil)
}

// A logout leaves nothing pending: neither a write nor a refresh brings the cookie back.
func TestSeamPendingAndLogout(t *testing.T) {
	for _, user := range []string{"", "alice"} {
		m, _ := newSeam(&sealed.Store{Keys: [][]byte{sealed.NewKey()}})
		b, begin := &webtest.Browser{}, beginning(m)
		if user != "" {
			begin = webtest.LogIn(m, user)
		}
		b.Visit(t, succeeds(t, begin))
		b.Visit(t, m.Middleware()(succeeds(t, inOrder(storing(m, "k", "new"), m.RefreshSession, m.RemoveSession))))
		if len(b.Cookies) != 0 {
			t.Errorf("%q: the client has a cookie after the logout", user)
		}
	}
}

// A write that comes while the client is given the session, because the header goes out or
// the Middleware returns, is too late.
func TestSeamWriteAtTheEnd(t *testing.T) {
	for what, end := range map[string]mist.HandleFunc{
		"the header goes out":    func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusOK) },
		"the Middleware returns": func(*mist.Context) {},
	} {
		m, h := newSeam(sealedStore())
		b := &webtest.Browser{}
		b.Visit(t, succeeds(t, beginning(m)))
		b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
			succeeds(t, storing(m, "k", "new"))(ctx)
			s := webtest.Loaded(t, m, ctx)
			h.stop("inject", func() {
				if err := s.Set(t.Context(), "k", "late"); !errors.Is(err, session.ErrHeaderWritten) {
					t.Errorf("%s: got %v, want ErrHeaderWritten", what, err)
				}
			})
			end(ctx)
		}))
		check(t, what, seen(t, b, m), "anonymous with new", nil)
	}
}
