package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sealed"
)

// The client_seam tests are about the seam between a Manager and a store whose sessions
// live with the client. A review broke each of these promises once.

// A seam stops the calls of a Manager to its store and its propagator, for something
// else to happen first.
type seam struct {
	mu sync.Mutex
	at map[string]func()
}

// newSeam returns a Manager of st and a cookie, and where its calls can be stopped.
func newSeam(st session.Store) (*session.Manager, *seam) {
	h := &seam{at: make(map[string]func())}
	return &session.Manager{
		Store:      seamStore{st.(session.UserStore), h},
		Propagator: seamPropagator{&cookie.Propagator{}, h},
	}, h
}

// stop makes f happen once, at the next call of that name.
func (h *seam) stop(call string, f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[call] = f
}

func (h *seam) reach(call string) {
	h.mu.Lock()
	f := h.at[call]
	delete(h.at, call)
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

type seamStore struct {
	session.UserStore
	*seam
}

func (s seamStore) Unwrap() session.Store { return s.UserStore }

func (s seamStore) Open(ctx context.Context, token string) (session.Session, error) {
	s.reach("Open")
	return s.UserStore.Open(ctx, token)
}

func (s seamStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	s.reach("Rotate")
	return s.UserStore.Rotate(ctx, token, grace)
}

func (s seamStore) Refresh(ctx context.Context, id string) error {
	s.reach("Refresh")
	return s.UserStore.Refresh(ctx, id)
}

type seamPropagator struct {
	*cookie.Propagator
	*seam
}

func (p seamPropagator) Inject(id string, w http.ResponseWriter) error {
	p.reach("inject")
	err := p.Propagator.Inject(id, w)
	p.reach("injected")
	return err
}

// sealedStore returns a store that knows which sessions of users ended.
func sealedStore() *sealed.Store {
	ended := new(sealed.Revocations)
	return &sealed.Store{Keys: [][]byte{sealed.NewKey()}, Revoked: ended.Revoked, Revoke: ended.Revoke}
}

// A seamFlow is what a handler does.
type seamFlow = func(ctx *mist.Context) error

func beginning(m *session.Manager) seamFlow {
	return func(ctx *mist.Context) error {
		_, err := m.InitSession(ctx)
		return err
	}
}

// storing writes a value to the session of the request.
func storing(m *session.Manager, key string, value any) seamFlow {
	return func(ctx *mist.Context) error {
		s, err := m.GetSession(ctx)
		if err == nil {
			err = s.Set(ctx.Request.Context(), key, value)
		}
		return err
	}
}

func reading(m *session.Manager) seamFlow {
	return func(ctx *mist.Context) error {
		_, err := m.GetSession(ctx)
		return err
	}
}

// inOrder does one after the other, until one fails.
func inOrder(flows ...seamFlow) seamFlow {
	return func(ctx *mist.Context) error {
		for _, flow := range flows {
			if err := flow(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// succeeds is a handler whose flow must not fail.
func succeeds(t *testing.T, flow seamFlow) mist.HandleFunc {
	return func(ctx *mist.Context) {
		if err := flow(ctx); err != nil {
			t.Errorf("got %v", err)
		}
	}
}

// seen describes the session of a browser: whose it is, and what "k" is in it.
func seen(t *testing.T, b *webtest.Browser, m *session.Manager) (what string) {
	t.Helper()
	b.Tab().Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if errors.Is(err, session.ErrNotFound) {
			what = "nobody"
			return
		}
		info, described := session.Describe(s)
		v, read := s.Get(ctx.Request.Context(), "k")
		if err := errors.Join(err, described, read); err != nil {
			t.Errorf("the session of the next request: %v", err)
		}
		if what = info.User; what == "" {
			what = "anonymous"
		}
		if v != nil {
			what = fmt.Sprintf("%s with %v", what, v)
		}
	})
	return what
}
