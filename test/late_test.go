package session_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// A slow request that refreshes a cookie with a lifetime never puts an old token
// over the newest one, however slow it is.
func TestLateRefreshAfterRotation(t *testing.T) {
	for _, slow := range []time.Duration{time.Second, 5 * time.Minute} { // within the grace and after it
		t.Run(slow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{MaxAge: time.Hour}}
				alice := &webtest.Browser{}
				alice.BeginNamed(t, m, "alice")
				alice.Visit(t, func(late *mist.Context) {
					if _, err := m.GetSession(late); err != nil {
						t.Fatalf("GetSession: %v", err)
					}
					alice.Visit(t, func(ctx *mist.Context) {
						if err := m.RotateSession(ctx); err != nil {
							t.Errorf("RotateSession: %v", err)
						}
					})
					if name, err := alice.Name(t, m); name != "alice" || err != nil { // the new token is seen
						t.Errorf("after the rotation: got %q, %v", name, err)
					}
					time.Sleep(slow)
					if err := m.RefreshSession(late); err != nil {
						t.Errorf("RefreshSession: %v", err)
					}
				})
				time.Sleep(time.Minute) // every grace is over
				if name, err := alice.Name(t, m); name != "alice" || err != nil {
					t.Errorf("after the late refresh: got %q, %v", name, err)
				}
			})
		})
	}
}

// A login that is too late is noticed also behind a wrapper that hides the
// Middleware's writer.
func TestErrHeaderWrittenBehindOpaqueWriter(t *testing.T) {
	m, _ := webtest.Spied()
	hides := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			ctx.ResponseWriter = struct{ http.ResponseWriter }{ctx.ResponseWriter}
			next(ctx)
		}
	}
	(&webtest.Browser{}).Visit(t, webtest.Wrap(func(ctx *mist.Context) {
		_, _ = ctx.ResponseWriter.Write([]byte("too late"))
		if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrHeaderWritten) {
			t.Errorf("got %v, want ErrHeaderWritten", err)
		}
	}, m.Middleware(), hides))
}

// A slowStore waits before it opens a session.
type slowStore struct {
	session.TokenStore
	wait func()
}

func (s slowStore) Open(ctx context.Context, token string) (session.Session, error) {
	s.wait()
	return s.TokenStore.Open(ctx, token)
}

// A load that a logout overtook does not bring a session back.
func TestLogoutOvertakesLoad(t *testing.T) {
	loading, goOn := make(chan struct{}), make(chan struct{})
	inner := &memory.Store{}
	alice := &webtest.Browser{}
	alice.BeginNamed(t, &session.Manager{Store: inner, Propagator: &cookie.Propagator{}}, "alice")
	m := &session.Manager{Propagator: &cookie.Propagator{}, Store: slowStore{inner, func() {
		close(loading)
		<-goOn
	}}}
	alice.Visit(t, func(ctx *mist.Context) {
		loaded := make(chan error)
		go func() {
			_, err := m.GetSession(ctx)
			loaded <- err
		}()
		<-loading
		if _, err := m.InitSession(ctx); err != nil {
			t.Errorf("InitSession: %v", err)
		}
		if err := m.RemoveSession(ctx); err != nil {
			t.Errorf("RemoveSession: %v", err)
		}
		close(goOn)
		if err := <-loaded; !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the load: got %v, want ErrNotFound", err)
		}
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after the logout: got %v, want ErrNotFound", err)
		}
	})
}

// The session of a request that the application puts into it once more is still
// the one that the client carries.
func TestUserValuesPutAgain(t *testing.T) {
	m, _ := webtest.Spied()
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	alice.Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		ctx.UserValues["session"] = s
		if err := m.RotateSession(ctx); err != nil {
			t.Errorf("RotateSession: %v", err)
		}
	})
}

func TestCheckOfWrappedNil(t *testing.T) {
	for name, st := range map[string]session.Store{"FaultStore": &sessiontest.FaultStore{}, "wrapper": webtest.WrappedStore{}} {
		m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
		if err := m.Check(); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s around nothing: got %v, want an error of its own", name, err)
		}
		(&webtest.Browser{Cookies: map[string]string{webtest.CookieName: "x"}}).Visit(t, func(ctx *mist.Context) {
			if _, err := m.GetSession(ctx); err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s around nothing: GetSession: got %v, want an error of its own", name, err)
			}
		})
	}
}

// A handler that writes the response while the session is being made is too
// late, and leaves no session behind.
func TestErrHeaderWrittenMeanwhile(t *testing.T) {
	m, _ := webtest.Spied()
	(&webtest.Browser{}).Visit(t, webtest.Wrap(func(ctx *mist.Context) {
		m.NewID = func() string {
			_, _ = ctx.ResponseWriter.Write([]byte("meanwhile"))
			return "meanwhile"
		}
		if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrHeaderWritten) {
			t.Errorf("got %v, want ErrHeaderWritten", err)
		}
	}, m.Middleware()))
	if _, err := m.Store.Get(t.Context(), "meanwhile"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the session that was made: got %v, want ErrNotFound", err)
	}
}

// A store that fails when a refresh asks for the newest token: the cookie stays
// as it is.
func TestRefreshCannotAskForNewest(t *testing.T) {
	store := &sessiontest.FaultStore{Store: &memory.Store{}}
	m := &session.Manager{Store: store, Propagator: &cookie.Propagator{MaxAge: time.Hour}}
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	store.Reset(func(c sessiontest.Call) sessiontest.Fault {
		if c.Op == "Open" && c.N == 3 { // Open, Refresh, Open
			return sessiontest.FailBefore
		}
		return sessiontest.None
	})
	header := alice.Visit(t, func(ctx *mist.Context) {
		if err := m.RefreshSession(ctx); !errors.Is(err, sessiontest.ErrFault) {
			t.Errorf("got %v, want the store's error", err)
		}
	})
	if got := webtest.SetCookies(header); got != nil {
		t.Error("a cookie was set")
	}
	store.Reset(nil)
	if name, err := alice.Name(t, m); name != "alice" || err != nil {
		t.Errorf("afterwards: got %q, %v", name, err)
	}
}

func TestTokenOfNoSession(t *testing.T) {
	if got := session.Token(nil); got != "" {
		t.Error("no session has a token")
	}
}
