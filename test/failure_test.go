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
)

// A silentStore does not answer for a second, and then fails.
type silentStore struct {
	*memory.Store
	silence error // nil: it answers
}

func (s *silentStore) Open(ctx context.Context, token string) (session.Session, error) {
	if s.silence != nil {
		time.Sleep(time.Second)
		return nil, s.silence
	}
	return s.Store.Open(ctx, token)
}

// A store that does not answer costs a request its timeout once, however many
// guards, handlers and helpers ask.
func TestStoreFailureIsTheAnswerForItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &silentStore{Store: &memory.Store{}}
		failed := func(name string, err error) {
			if !errors.Is(err, st.silence) {
				t.Errorf("%s: got %v, want the outage", name, err)
			}
		}
		m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, ErrorHandler: func(_ *mist.Context, err error) { failed("a guard", err) }}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		st.silence = &webtest.OutageError{}
		began := time.Now()
		b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
			ctx.Request.Method = http.MethodPost
			for range 2 {
				for _, guard := range []mist.Middleware{m.RequireSession(), m.RequireLevel(session.Authenticated), m.RequireFresh(time.Hour), m.RequireCSRF(nil)} {
					guard(func(*mist.Context) { t.Error("a guard let the request through") })(ctx)
				}
				_, err := m.GetSession(ctx)
				failed("GetSession", err)
				_, err = session.FromContext(ctx.Request.Context())
				failed("FromContext", err)
				failed("RefreshSession", m.RefreshSession(ctx))
				failed("RotateSession", m.RotateSession(ctx))
				failed("RemoveSession", m.RemoveSession(ctx))
				failed("Login", webtest.LogIn(m, "alice")(ctx))
			}
		}, m.Middleware()))
		if took := time.Since(began); took != time.Second {
			t.Errorf("the request took %v, want one timeout of a second", took)
		}
		st.silence = nil
		b.Is(t, m, "alice") // the next request asks anew
	})
}

// Goroutines that wait for a load get its failure, and do not try one after the other.
func TestStoreFailureTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rec := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		gate, silent := make(chan struct{}), &webtest.OutageError{}
		rec.Take()
		rec.On(func(_ context.Context, op string) {
			if op == "Open" {
				<-gate
			}
		})
		rec.Fail(webtest.Fault{Op: "Open", After: false, Err: silent})
		b.Visit(t, func(ctx *mist.Context) {
			webtest.Together(64, func() {
				if _, err := m.GetSession(ctx); !errors.Is(err, silent) {
					t.Errorf("got %v, want the outage", err)
				}
			}, func() { close(gate) })
		})
		opened := 0
		for _, op := range rec.All() {
			if op == "Open" {
				opened++
			}
		}
		if opened != 1 {
			t.Errorf("the store was asked %d times, want once", opened)
		}
	})
}

// A new session takes the place of the failure, and a logout after it.
func TestStoreFailureEndsWithANewSession(t *testing.T) {
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	rec.Fail(webtest.Fault{Op: "Open", After: false, Err: &webtest.OutageError{}})
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := m.GetSession(ctx); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, want the outage", err)
		}
		made, err := m.InitSession(ctx)
		if err != nil {
			t.Fatalf("InitSession: %v", err)
		}
		if s, err := m.GetSession(ctx); s != made || err != nil {
			t.Errorf("got %v, want the new session", err)
		}
		if err := m.RemoveSession(ctx); err != nil {
			t.Errorf("RemoveSession: %v", err)
		}
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after the logout: got %v, want ErrNotFound", err)
		}
	})
}
