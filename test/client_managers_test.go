package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
)

// nameless hides that a propagator can say its name.
type nameless struct{ p *cookie.Propagator }

func (u nameless) Inject(id string, w http.ResponseWriter) error { return u.p.Inject(id, w) }
func (u nameless) Extract(req *http.Request) (string, error)     { return u.p.Extract(req) }
func (u nameless) Remove(w http.ResponseWriter) error            { return u.p.Remove(w) }

// Two Managers serve one request, each its own session, whether or not they have a store or
// keys in common.
func TestClientTwoManagers(t *testing.T) {
	named := func(name string) *cookie.Propagator { return &cookie.Propagator{Name: name, Insecure: true} }
	shared := clientStore("a")
	for name, m := range map[string][2]*session.Manager{
		"same keys":      {{Store: clientStore("a"), Propagator: named("x")}, {Store: clientStore("a"), Propagator: named("y")}},
		"other keys":     {{Store: clientStore("a"), Propagator: named("x")}, {Store: clientStore("b"), Propagator: named("y")}},
		"one store":      {{Store: shared, Propagator: named("x")}, {Store: shared, Propagator: named("y")}},
		"unknown names":  {{Store: shared, Propagator: nameless{named("x")}}, {Store: shared, Propagator: nameless{named("y")}}},
		"cookie, header": {{Store: shared, Propagator: named("Authorization")}, {Store: shared, Propagator: &header.Propagator{}}},
	} {
		for _, middleware := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/middleware=%t", name, middleware), func(t *testing.T) {
				m[1].CtxSessionKey = "second"
				var outside []mist.Middleware
				if middleware {
					outside = append(outside, m[1].Middleware())
				}
				s := newClientSite(t, m[0], middleware, outside...)
				c := s.visitor(t)
				for range 2 {
					s.do(t, c, func(ctx *mist.Context) error {
						var errs []error
						for i, one := range m {
							v, err := one.GetSession(ctx)
							if errors.Is(err, session.ErrNotFound) {
								v, err = one.InitSession(ctx)
							}
							if err != nil {
								return err
							}
							errs = append(errs, v.Set(ctx.Request.Context(), "n", i))
						}
						for i, one := range m {
							errs = append(errs, with(one, func(c context.Context, v session.Session) error {
								return shows(c, "its own", v, map[string]any{"n": i})
							})(ctx))
						}
						return errors.Join(errs...)
					})
				}
				// The first leaves, the second stays.
				s.do(t, c, m[0].RemoveSession)
				s.holds(t, c, "the first", nil)
				s.do(t, c, with(m[1], func(c context.Context, v session.Session) error {
					return shows(c, "the second", v, map[string]any{"n": 1})
				}))
			})
		}
	}
}

// A seal in a cookie of another name opens nothing.
func TestClientOtherName(t *testing.T) {
	b := &webtest.Browser{}
	st := clientStore("a")
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := (&session.Manager{Store: st, Propagator: &cookie.Propagator{Name: "x"}}).InitSession(ctx); err != nil {
			t.Error(err)
		}
	})
	if b.Cookies["x"] == "" {
		t.Fatal("no cookie")
	}
	b.Cookies["y"] = b.Cookies["x"]
	b.IsNobody(t, &session.Manager{Store: st, Propagator: &cookie.Propagator{Name: "y"}})
}

// Managers with one store and one cookie share what the response says, and the Middleware of
// one of them serves both, also where the other saw the request first.
func TestClientManagersShare(t *testing.T) {
	st, rec := clientStore("a"), &webtest.Recorder{}
	manager := func() *session.Manager {
		return &session.Manager{Store: st, Propagator: &webtest.SpyPropagator{Propagator: &cookie.Propagator{}, Recorder: rec}}
	}
	first, second := manager(), manager()
	second.CtxSessionKey = "second"
	b := &webtest.Browser{}
	b.Begin(t, first)
	rec.Take()
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := first.GetSession(ctx); err != nil {
			t.Error(err)
		}
		second.Middleware()(func(ctx *mist.Context) {
			reqctx := ctx.Request.Context()
			v, err := session.FromContext(reqctx)
			if err != nil {
				t.Error(err)
				return
			}
			err = errors.Join(v.Set(reqctx, "a", 1), set(first, "b", 2)(ctx))
			ctx.ResponseWriter.WriteHeader(http.StatusOK)
			if err := errors.Join(err, is("too late", v.Set(reqctx, "a", 3), session.ErrHeaderWritten),
				is("too late", set(first, "b", 3)(ctx), session.ErrHeaderWritten)); err != nil {
				t.Error(err)
			}
		})(ctx)
	})
	if n := injected(rec); n != 1 {
		t.Errorf("injected %d times, want once", n)
	}
	b.Visit(t, func(ctx *mist.Context) {
		if err := with(first, func(c context.Context, v session.Session) error {
			return shows(c, "both", v, map[string]any{"a": 1, "b": 2, "cart": "apples"})
		})(ctx); err != nil {
			t.Error(err)
		}
	})
}
