package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// A clientModel is what a client must have after a request.
type clientModel struct {
	user   string
	values map[string]any // nil: no session
}

// clientSteps are what a request may do. Each changes the model, and returns what is wrong.
// ended: no write to a session that the request had before works.
var clientSteps = []struct {
	name  string
	ended bool
	do    func(m *session.Manager, ctx *mist.Context, model *clientModel) error
}{
	{"Set", false, func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
		n := len(model.values)
		if model.values == nil {
			return is("Set", set(m, "n", n)(ctx), session.ErrNotFound)
		}
		model.values["n"] = n
		return set(m, "n", n)(ctx)
	}},
	{"Login", true, loginStep("ada")},
	{"Login of another", true, loginStep("bob")},
	{"Rotate", false, func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
		return is("Rotate", m.RotateSession(ctx), model.missing())
	}},
	{"Refresh", false, func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
		return is("Refresh", m.RefreshSession(ctx), model.missing())
	}},
	{"Init", true, func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
		*model = clientModel{"", map[string]any{}}
		_, err := m.InitSession(ctx)
		return err
	}},
	{"Remove", true, func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
		want := model.missing()
		*model = clientModel{}
		return is("Remove", m.RemoveSession(ctx), want)
	}},
}

func (m *clientModel) missing() error {
	if m.values == nil {
		return session.ErrNotFound
	}
	return nil
}

func loginStep(user string) func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
	return func(m *session.Manager, ctx *mist.Context, model *clientModel) error {
		if model.values == nil || model.user != "" && model.user != user {
			model.values = map[string]any{}
		}
		model.user = user
		model.values["login"] = len(model.values)
		s, err := m.LoginWith(ctx, session.Login{User: user, Values: map[string]any{"login": model.values["login"]}})
		if err != nil {
			return err
		}
		model.values["after"] = true
		return s.Set(ctx.Request.Context(), "after", true)
	}
}

// In whatever order a request does things, its response says one thing, and that is what the
// last of them left. A session that another one has taken the place of cannot be written.
func TestClientOrders(t *testing.T) {
	for _, middleware := range []bool{false, true} {
		m := &session.Manager{Store: clientStore("a"), Propagator: clientWays["cookie"]()}
		around := func(h mist.HandleFunc) mist.HandleFunc { return h }
		if middleware {
			around = m.Middleware()
		}
		for _, order := range sequences(len(clientSteps), 4) {
			what := fmt.Sprintf("middleware %t", middleware)
			for _, i := range order {
				what += ", " + clientSteps[i].name
			}
			b := &webtest.Browser{}
			b.Visit(t, func(ctx *mist.Context) {
				s, err := m.InitSession(ctx)
				if err = errors.Join(err, s.Set(ctx.Request.Context(), "start", true)); err != nil {
					t.Fatal(err)
				}
			})
			model := clientModel{"", map[string]any{"start": true}}
			header := b.Visit(t, around(func(ctx *mist.Context) {
				reqctx := ctx.Request.Context()
				var before []session.Session
				for _, i := range order {
					if s, err := m.GetSession(ctx); err == nil {
						before = append(before, s)
					}
					if err := clientSteps[i].do(m, ctx, &model); err != nil {
						t.Errorf("%s: %v", what, err)
					}
					for _, s := range before {
						if !clientSteps[i].ended {
							break
						}
						if err := is("a write to a session from before", s.Set(reqctx, "lost", true), session.ErrNotFound); err != nil {
							t.Errorf("%s: %v", what, err)
						}
					}
				}
			}))
			if n := len(header["Set-Cookie"]); n > 1 {
				t.Errorf("%s: got %d cookies", what, n)
			}
			var after clientModel
			b.Visit(t, func(ctx *mist.Context) {
				if s, err := m.GetSession(ctx); err == nil {
					after = modelOf(ctx.Request.Context(), s)
				}
			})
			if after.user != model.user || (after.values == nil) != (model.values == nil) || !maps.Equal(after.values, model.values) {
				t.Errorf("%s: got %v, want %v", what, after, model)
			}
		}
	}
}

func modelOf(ctx context.Context, s session.Session) clientModel {
	info, _ := session.Describe(s)
	all, _ := session.All(ctx, s)
	return clientModel{info.User, maps.Collect(all)}
}
