package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// twoNodes returns two managers on one store, as two machines have them.
func twoNodes() (a, b *session.Manager) {
	st := &memory.Store{}
	return &session.Manager{Store: st, Propagator: &cookie.Propagator{}},
		&session.Manager{Store: st, Propagator: &cookie.Propagator{}}
}

// R34: what was ended on one machine is ended on the other, also for a request
// there that had loaded it before.
func TestEndedOnTheOtherNode(t *testing.T) {
	for name, end := range map[string]func(m *session.Manager, ctx *mist.Context) error{
		"logout": func(m *session.Manager, ctx *mist.Context) error { return m.RemoveSession(ctx) },
		"revocation": func(m *session.Manager, ctx *mist.Context) error {
			_, err := m.RemoveUserSessions(ctx, "alice")
			return err
		},
		"login of another user": func(m *session.Manager, ctx *mist.Context) error {
			_, err := m.Login(ctx, "bob")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := twoNodes()
			b := &webtest.Browser{}
			b.SignIn(t, here, "alice")
			ended, rotated := b.Tab(), b.Tab()
			rotated.Rotate(t, here)
			b.Visit(t, func(late *mist.Context) {
				s := webtest.Loaded(t, there, late)
				ended.Visit(t, func(ctx *mist.Context) {
					if err := end(here, ctx); err != nil {
						t.Error(err)
					}
				})
				c := late.Request.Context()
				for what, err := range map[string]error{
					"Set":            s.Set(c, "name", "back"),
					"Update":         session.Update(c, s, "name", func(any) (any, error) { return "back", nil }),
					"RotateSession":  there.RotateSession(late),
					"RefreshSession": there.RefreshSession(late),
					"Refresh":        there.Refresh(c, s.ID()),
				} {
					if !errors.Is(err, session.ErrNotFound) {
						t.Errorf("%s of a request under way: got %v, want ErrNotFound", what, err)
					}
				}
			})
			for what, b := range map[string]*webtest.Browser{"cookie": b, "rotated cookie": rotated} {
				for _, m := range []*session.Manager{here, there} {
					if _, err := b.Name(t, m); !errors.Is(err, session.ErrNotFound) {
						t.Errorf("%s: got %v, want ErrNotFound", what, err)
					}
				}
			}
		})
	}
}

// R52: who follows a redirect at the first byte of the answer, to another
// machine, finds there what the request before it did.
func TestRedirectAtOnce(t *testing.T) {
	const rounds = 10_000
	here, there := twoNodes()
	b := &webtest.Browser{}
	b.BeginNamed(t, here, "")
	for i := range rounds {
		w := &followed{ResponseWriter: httptest.NewRecorder()}
		w.follow = func() {
			next := b.Tab()
			for _, c := range (&http.Response{Header: w.Header()}).Cookies() {
				next.Cookies[c.Name] = c.Value
			}
			b = next
			next.Visit(t, func(ctx *mist.Context) {
				v, err := webtest.Loaded(t, there, ctx).Get(ctx.Request.Context(), "round")
				if v != i || err != nil {
					t.Errorf("round %d: the next request sees %v, %v", i, v, err)
				}
			})
		}
		handler := here.Middleware()(func(ctx *mist.Context) {
			if i%10 == 0 {
				if err := here.RotateSession(ctx); err != nil {
					t.Error(err)
				}
			}
			if err := webtest.Loaded(t, here, ctx).Set(ctx.Request.Context(), "round", i); err != nil {
				t.Error(err)
			}
			http.Redirect(ctx.ResponseWriter, ctx.Request, "/next", http.StatusSeeOther)
		})
		handler(&mist.Context{Request: b.Request(t.Context()), ResponseWriter: w})
		if w.follow != nil {
			t.Fatal("nobody followed")
		}
	}
}

// A followed response has its browser follow when the header is out.
type followed struct {
	http.ResponseWriter

	follow func()
}

func (w *followed) WriteHeader(code int) {
	w.ResponseWriter.WriteHeader(code)
	follow := w.follow
	w.follow = nil
	follow()
}

// R40, T-M6, T-E1: who only comes by leaves nothing behind and takes nothing
// with them, whatever cookie they send and wherever they go.
func TestAnonymousRequests(t *testing.T) {
	const requests = 10_000
	m, rec := webtest.Spied()
	made := 0
	rec.On(func(_ context.Context, op string) {
		if op != "Open" && op != "extract" {
			made++
		}
	})
	var cookies []string
	for _, lines := range hostile() {
		for _, line := range lines {
			if len(line) < 1000 {
				cookies = append(cookies, line)
			}
		}
	}
	cookies = append(cookies, "", webtest.CookieName+"=unknown.ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	pages := []func(ctx *mist.Context) error{
		func(ctx *mist.Context) error { _, err := m.GetSession(ctx); return err },
		func(ctx *mist.Context) error { _, err := session.FromContext(ctx); return err },
		m.RefreshSession,
		m.RotateSession,
		m.RemoveSession,
		func(ctx *mist.Context) error { _, err := m.Reauthenticate(ctx, 0); return err },
	}
	for i := range requests {
		ctx := blankContext(t)
		w := httptest.NewRecorder()
		ctx.ResponseWriter = w
		ctx.Request.Header.Set("Cookie", cookies[i%len(cookies)])
		page := pages[i/len(cookies)%len(pages)]
		m.Middleware()(func(ctx *mist.Context) {
			if err := page(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("request %d: got %v, want ErrNotFound", i, err)
			}
		})(ctx)
		if got := webtest.HeaderNames(w.Header()); got != nil {
			t.Errorf("request %d: got header fields %q, want none", i, got)
		}
	}
	if made != 0 {
		t.Errorf("%d calls that make, change or end sessions, want none", made)
	}
}
