package redis_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// A step is a command of the store, by what it is for.
type step int

const (
	stepLoad step = iota
	stepCreate
	stepBegin // a session, with a login
	stepSet   // this and the next three write values, and are not sent twice
	stepDel   // takes values out
	stepUpdate
	stepTake
	stepTouch
	stepPresent // a token that was not seen yet
	stepLearn   // the newest token, with an old one: this writes nothing
	stepRotate
	stepRemove
	stepTakeOver // an anonymous session, for a login
	stepRestore  // what was taken over, if the login fails; no flow has it among its steps
	stepEnter    // a login of a session that is the user's
	stepEnd      // a session of a user
	stepBind     // to a device
	stepProve    // that the device is there
)

// once reports whether a step must not be sent twice.
func (s step) once() bool { return stepCreate <= s && s <= stepTake }

// writes reports whether a step changes the record.
func (s step) writes() bool { return s != stepLoad && s != stepLearn }

// grows reports whether a step needs memory. What keeps a session alive, and what ends
// it, does not.
func (s step) grows() bool {
	switch s {
	case stepDel, stepTake, stepTouch, stepPresent, stepRemove, stepRestore, stepEnd, stepProve:
		return false
	}
	return s.writes()
}

// command is what the step sends.
func (s step) command() string {
	switch s {
	case stepLoad:
		return "hgetall"
	case stepRemove:
		return "unlink"
	}
	return "evalsha"
}

// A flow is what the handler of one request does.
type flow struct {
	name  string
	steps []step
	call  func(a *app, ctx *mist.Context) error

	anonymous bool                                            // the client has no session
	required  bool                                            // behind RequireSession
	token     func(t *testing.T, a *app, token string) string // what the client carries, if not the token of its login
	between   map[string]any                                  // values that somebody else writes after the session was loaded
	after     func(values map[string]any)                     // what the flow makes of them
	sets      int                                             // Set-Cookie lines
	makes     int                                             // sessions
	ends      bool                                            // the session
	logsIn    bool                                            // faultUser, see checkLogin
}

// changing is the call of a flow that changes the values of the session.
func changing(f func(a *app, ctx *mist.Context, s session.Session) error) func(a *app, ctx *mist.Context) error {
	return func(a *app, ctx *mist.Context) error {
		s, err := a.manager.GetSession(ctx)
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside the error %v", s != nil, err) //nolint:errorlint // nobody may match it
		}
		if err != nil {
			return err
		}
		return f(a, ctx, s)
	}
}

func increment(old any) (any, error) {
	n, _ := old.(int64)
	return n + 1, nil
}

func faultFlows() []flow {
	initSession := func(a *app, ctx *mist.Context) error {
		s, err := a.manager.InitSession(ctx)
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside the error %v", s != nil, err) //nolint:errorlint // nobody may match it
		}
		return err
	}
	login := func(a *app, ctx *mist.Context) error {
		s, err := a.manager.LoginWith(ctx, session.Login{User: faultUser, Values: map[string]any{"city": "Rome"}})
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside the error %v", s != nil, err) //nolint:errorlint // nobody may match it
		}
		return err
	}
	withCity := func(values map[string]any) { values["city"] = "Rome" }
	rotateSession := func(a *app, ctx *mist.Context) error { return a.manager.RotateSession(ctx) }
	rotated := func(t *testing.T, a *app, token string) string {
		t.Helper()
		s, err := a.truth.Rotate(t.Context(), token, time.Minute)
		if err != nil {
			t.Fatalf("Rotate: %v", err)
		}
		return session.Token(s)
	}
	userHas := func(t *testing.T, a *app, token string) string {
		t.Helper()
		s, err := a.truth.Login(t.Context(), token, session.Login{User: faultUser})
		if err != nil {
			t.Fatalf("Login: %v", err)
		}
		return session.Token(s)
	}
	bound := func(t *testing.T, a *app, token string) string {
		t.Helper()
		p := aProof("")
		p.Grace = 0 // so that a record has one old token
		s, err := a.truth.Bind(t.Context(), token, p)
		if err == nil {
			s, err = a.truth.Open(t.Context(), session.Token(s))
		}
		if err != nil {
			t.Fatalf("Bind: %v", err)
		}
		return session.Token(s)
	}
	return []flow{
		{name: "Login of a stranger", steps: []step{stepBegin}, anonymous: true, sets: 1, logsIn: true, call: login},
		{name: "Login", steps: []step{stepLoad, stepTakeOver, stepBegin}, sets: 1, logsIn: true, call: login, after: withCity},
		{name: "Login again", steps: []step{stepLoad, stepEnter}, sets: 1, logsIn: true, call: login, after: withCity, token: userHas},
		{
			name: "RefreshSession of a user", steps: []step{stepLoad, stepTouch, stepLoad}, sets: 1, token: userHas,
			call: func(a *app, ctx *mist.Context) error { return a.manager.RefreshSession(ctx) },
		},
		{
			name: "RemoveSession of a user", steps: []step{stepLoad, stepEnd}, sets: 1, ends: true, token: userHas,
			call: func(a *app, ctx *mist.Context) error { return a.manager.RemoveSession(ctx) },
		},
		{name: "InitSession of a stranger", steps: []step{stepCreate}, anonymous: true, sets: 1, makes: 1, call: initSession},
		{name: "InitSession over a session", steps: []step{stepCreate}, sets: 1, makes: 1, call: initSession},
		{
			name: "GetSession", steps: []step{stepLoad},
			call: changing(func(*app, *mist.Context, session.Session) error { return nil }),
		},
		{name: "RequireSession", steps: []step{stepLoad}, required: true},
		{
			name: "Set", steps: []step{stepLoad, stepSet},
			call: changing(func(_ *app, ctx *mist.Context, s session.Session) error {
				return s.Set(ctx.Request.Context(), "city", "Rome")
			}),
			after: func(values map[string]any) { values["city"] = "Rome" },
		},
		{
			name: "SetAll", steps: []step{stepLoad, stepSet},
			call: changing(func(_ *app, ctx *mist.Context, s session.Session) error {
				return session.SetAll(ctx.Request.Context(), s, map[string]any{"city": "Rome", "name": "bob"})
			}),
			after: func(values map[string]any) { values["city"], values["name"] = "Rome", "bob" },
		},
		{
			name: "Delete", steps: []step{stepLoad, stepDel},
			call: changing(func(_ *app, ctx *mist.Context, s session.Session) error {
				return session.Delete(ctx.Request.Context(), s, "old", "flash")
			}),
			after: func(values map[string]any) { delete(values, "old"); delete(values, "flash") },
		},
		{
			name: "Clear", steps: []step{stepLoad, stepDel},
			call: changing(func(_ *app, ctx *mist.Context, s session.Session) error {
				return session.Clear(ctx.Request.Context(), s)
			}),
			after: func(values map[string]any) { clear(values) },
		},
		{
			name: "Update", steps: []step{stepLoad, stepUpdate},
			call: changing(func(_ *app, ctx *mist.Context, s session.Session) error {
				return session.Update(ctx.Request.Context(), s, "count", increment)
			}),
			after: func(values map[string]any) { values["count"] = int64(2) },
		},
		{
			name: "Update of what has changed", steps: []step{stepLoad, stepUpdate, stepUpdate},
			call: changing(func(a *app, ctx *mist.Context, s session.Session) error {
				other, err := a.truth.Get(ctx.Request.Context(), s.ID())
				if err == nil {
					err = other.Set(ctx.Request.Context(), "count", int64(10))
				}
				if err != nil {
					return err
				}
				return session.Update(ctx.Request.Context(), s, "count", increment)
			}),
			between: map[string]any{"count": int64(10)},
			after:   func(values map[string]any) { values["count"] = int64(11) },
		},
		{
			name: "Pop", steps: []step{stepLoad, stepTake},
			call: changing(func(_ *app, ctx *mist.Context, s session.Session) error {
				v, err := session.Pop(ctx.Request.Context(), s, "flash")
				if (v == "once") != (err == nil) {
					return fmt.Errorf("value %v beside the error %v", v, err) //nolint:errorlint // nobody may match it
				}
				return err
			}),
			after: func(values map[string]any) { delete(values, "flash") },
		},
		{
			name: "RefreshSession", steps: []step{stepLoad, stepTouch, stepLoad}, sets: 1,
			call: func(a *app, ctx *mist.Context) error { return a.manager.RefreshSession(ctx) },
		},
		{name: "RotateSession", steps: []step{stepLoad, stepRotate}, sets: 1, call: rotateSession},
		{
			name: "RotateSession with an old token", steps: []step{stepLoad, stepLearn, stepLearn}, sets: 1, call: rotateSession,
			token: func(t *testing.T, a *app, token string) string {
				t.Helper()
				rotated(t, a, token) // which the client never got
				return token
			},
		},
		{
			name: "GetSession with a new token", steps: []step{stepLoad, stepPresent}, token: rotated,
			call: changing(func(*app, *mist.Context, session.Session) error { return nil }),
		},
		{name: "Bind", steps: []step{stepBind}, call: func(a *app, ctx *mist.Context) error {
			return errorOf(a.store.Bind(ctx.Request.Context(), a.clientToken(ctx), aProof("")))
		}},
		{
			name: "GetSession, bound", steps: []step{stepLearn}, token: bound,
			call: changing(func(*app, *mist.Context, session.Session) error { return nil }),
		},
		{name: "Prove", steps: []step{stepProve}, token: bound, call: func(a *app, ctx *mist.Context) error {
			return errorOf(a.store.Prove(ctx.Request.Context(), "alice", aProof("1")))
		}},
		{
			name: "RemoveSession", steps: []step{stepLoad, stepRemove}, sets: 1, ends: true,
			call: func(a *app, ctx *mist.Context) error { return a.manager.RemoveSession(ctx) },
		},
	}
}

// outcomes are the values that the session may have after the flow: all that it
// began with, or all that it makes.
func (fl *flow) outcomes() (before []map[string]any, after map[string]any) {
	before = append(before, startValues())
	after = startValues()
	if fl.between != nil {
		between := startValues()
		maps.Copy(between, fl.between)
		before = append(before, between)
	}
	if fl.after != nil {
		fl.after(after)
	}
	return before, after
}
