package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

const (
	chainCookie = "__Host-Http-session"
	chainHeader = "X-Session"
)

func newChain() session.Chain {
	return session.Chain{&cookie.Propagator{MaxAge: time.Hour}, &header.Propagator{}, session.Chain{&header.Propagator{Name: chainHeader}}}
}

// TestChainConformance: without a Manager, a chain works like its first propagator.
func TestChainConformance(t *testing.T) {
	sessiontest.TestPropagator(t, sessiontest.PropagatorHarness{New: func() session.Propagator { return newChain() }})
}

// TestChain runs every flow with the token in each propagator of the chain, alone and
// with tokens of other users in the propagators behind it.
func TestChain(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: newChain()}
	anew := func() (token string, s session.Session) {
		s, err := m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: httptest.NewRecorder()})
		if err != nil {
			t.Fatal(err)
		}
		return session.Token(s), s
	}
	ways := []struct {
		carry func(r *http.Request, token string)
		out   string // the header of a response that it travels in
	}{
		{func(r *http.Request, token string) { r.AddCookie(&http.Cookie{Name: chainCookie, Value: token}) }, "Set-Cookie"},
		{func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }, "Authorization"},
		{func(r *http.Request, token string) { r.Header.Set(chainHeader, token) }, chainHeader},
	}
	flows := map[string]func(ctx *mist.Context) error{
		"init":   func(ctx *mist.Context) error { _, err := m.InitSession(ctx); return err },
		"rotate": m.RotateSession,
		"remove": m.RemoveSession,
	}
	for first, way := range ways {
		for behind := first; behind < len(ways); behind++ {
			for name, flow := range flows {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				mine, s := anew()
				way.carry(r, mine)
				if behind > first {
					other, _ := anew()
					ways[behind].carry(r, other)
				}
				rec := httptest.NewRecorder()
				ctx := &mist.Context{Request: r, ResponseWriter: rec}
				got, err := m.GetSession(ctx)
				if err != nil || got.ID() != s.ID() {
					t.Fatalf("%s by %s beside %s: got another session, %v", name, way.out, ways[behind].out, err)
				}
				if err := flow(ctx); err != nil {
					t.Fatalf("%s by %s: %v", name, way.out, err)
				}
				for _, w := range ways {
					if _, ok := rec.Header()[w.out]; ok != (w.out == way.out) {
						t.Errorf("%s by %s beside %s: answered in %s: %v", name, way.out, ways[behind].out, w.out, ok)
					}
				}
			}
		}
	}
}

// TestChainFallsThroughNever: if a token opens nothing, the chain does not try the next
// propagator. Two tokens for one propagator are refused.
func TestChainFallsThroughNever(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: newChain()}
	s, err := m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: httptest.NewRecorder()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cookies []string
		want    error
	}{
		{nil, nil},
		{[]string{"malformed"}, session.ErrNotFound},
		{[]string{"6ba7b810-9dad-41d1-80b4-00c04fd430c8.ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, session.ErrNotFound},
		{[]string{session.Token(s), session.Token(s)}, session.ErrMultiple},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+session.Token(s))
		for _, c := range tt.cookies {
			r.AddCookie(&http.Cookie{Name: chainCookie, Value: c})
		}
		if _, err := m.GetSession(&mist.Context{Request: r}); !errors.Is(err, tt.want) {
			t.Errorf("%d cookies: got %v, want %v", len(tt.cookies), err, tt.want)
		}
	}
}

// TestChainLasting: only a client that carries a cookie gets it again.
func TestChainLasting(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: newChain()}
	s, err := m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: httptest.NewRecorder()})
	if err != nil {
		t.Fatal(err)
	}
	for _, byCookie := range []bool{true, false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if byCookie {
			r.AddCookie(&http.Cookie{Name: chainCookie, Value: session.Token(s)})
		} else {
			r.Header.Set("Authorization", "Bearer "+session.Token(s))
		}
		rec := httptest.NewRecorder()
		if err := m.RefreshSession(&mist.Context{Request: r, ResponseWriter: rec}); err != nil {
			t.Fatal(err)
		}
		if got := len(rec.Header()) > 0; got != byCookie {
			t.Errorf("by cookie %v: the response carries an identifier: %v", byCookie, got)
		}
	}
}

func TestChainCheck(t *testing.T) {
	for name, c := range map[string]session.Chain{
		"nil":       nil,
		"empty":     {},
		"of nil":    {&cookie.Propagator{}, nil},
		"typed nil": {(*cookie.Propagator)(nil)},
		"invalid":   {&header.Propagator{}, &cookie.Propagator{MaxAge: -1}},
		"nested":    {&header.Propagator{}, session.Chain{}},
	} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: c}
		_, err := c.Extract(httptest.NewRequest(http.MethodGet, "/", nil))
		if m.Check() == nil || err == nil || c.Inject("x", httptest.NewRecorder()) == nil || c.Remove(httptest.NewRecorder()) == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
