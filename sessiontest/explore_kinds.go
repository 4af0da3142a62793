package sessiontest

import (
	"context"
	"fmt"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

type flow func(v *visit, ctx *mist.Context) error

type kind struct {
	name    string
	needs   Capability
	carries bool // the cookie of its browser; if false, no browser sends it
	lost    bool // the response never arrives
	flow    flow
}

// expiry is what a burst needs in which the idle timeout passes.
const expiry Capability = 1 << 31

// revocation is what a burst needs in which all sessions of a user end.
const revocation Capability = 1 << 30

// lapses is what a burst needs in which tokens of devices end.
const lapses Capability = 1 << 29

// Names of kinds that the judge refers to.
const (
	kindLogin, kindOther, kindLogout = "login", "login-other", "logout"
	kindRevoke, kindReauthenticate   = "revoke", "reauthenticate"
	kindLate                         = "late"
	kindExpire                       = "expire"
	kindBind, kindProve, kindReplay  = "bind", "prove", "replay"
	kindLapse                        = "lapse"
)

const counter = "counter"

func kinds() []kind {
	return []kind{
		{"write", 0, true, false, write},
		{"update", Updater, true, false, update},
		{kindLogin, UserStore, true, false, loginAs("ann")},
		{kindOther, UserStore, true, false, loginAs("bob")},
		{kindLate, UserStore, true, false, late},
		{kindLogout, 0, true, false, func(v *visit, ctx *mist.Context) error {
			if err := v.load(ctx); err != nil {
				return err
			}
			return v.manager.RemoveSession(ctx)
		}},
		{"rotate", TokenStore, true, false, rotate},
		{"lose", TokenStore, true, true, rotate},
		{"refresh", 0, true, false, func(v *visit, ctx *mist.Context) error {
			if err := v.load(ctx); err != nil {
				return err
			}
			return v.manager.RefreshSession(ctx)
		}},
		{kindRevoke, UserStore | revocation, false, false, func(v *visit, ctx *mist.Context) error {
			_, err := v.manager.RemoveUserSessions(ctx, v.user("ann"))
			return err
		}},
		{kindExpire, expiry, false, false, expire},
		{kindReauthenticate, UserStore, true, false, func(v *visit, ctx *mist.Context) error {
			if err := v.load(ctx); err != nil {
				return err
			}
			_, err := v.manager.Reauthenticate(ctx, 0)
			return err
		}},
		{kindBind, DeviceStore, true, false, bind},
		{kindProve, DeviceStore, true, false, func(v *visit, ctx *mist.Context) error { return v.prove(ctx, v.name) }},
		{kindReplay, DeviceStore, true, false, func(v *visit, ctx *mist.Context) error { return v.prove(ctx, "always the same") }},
		{kindLapse, lapses, false, false, lapse},
	}
}

// load begins every request. The session must belong to the browser.
func (v *visit) load(ctx *mist.Context) error {
	s, err := v.manager.GetSession(ctx)
	if err != nil {
		return err
	}
	v.loaded = s
	v.recognise(v.name, v.browser, s)
	return nil
}

func write(v *visit, ctx *mist.Context) error {
	if err := v.load(ctx); err != nil {
		return err
	}
	// The value is the user at the time of loading.
	return v.loaded.Set(ctx.Request.Context(), v.name, userOf(v.loaded))
}

func update(v *visit, ctx *mist.Context) error {
	if err := v.load(ctx); err != nil {
		return err
	}
	return session.Update(ctx.Request.Context(), v.loaded, counter, func(old any) (any, error) {
		v.park("the function of Update")
		n, _ := old.(int)
		return n + 1, nil
	})
}

func rotate(v *visit, ctx *mist.Context) error {
	if err := v.load(ctx); err != nil {
		return err
	}
	return v.manager.RotateSession(ctx)
}

func loginAs(user string) flow {
	return func(v *visit, ctx *mist.Context) error {
		return v.login(ctx, session.Login{User: v.user(user), Values: map[string]any{v.name: v.user(user)}})
	}
}

// late is a login that every store refuses, because its check began too long ago.
func late(v *visit, ctx *mist.Context) error {
	return v.login(ctx, session.Login{
		User: v.user("ann"), Values: map[string]any{v.name: v.user("ann")}, Began: time.Now().Add(-2 * session.BeganLimit),
	})
}

// login loads the session first, as the Manager would anyway.
func (v *visit) login(ctx *mist.Context, l session.Login) error {
	if v.sent != "" {
		_ = v.load(ctx)
	}
	s, err := v.manager.LoginWith(ctx, l)
	if err != nil {
		return err
	}
	v.got = s
	return nil
}

// expire lets time pass until all sessions have ended.
func expire(v *visit, ctx *mist.Context) error {
	v.stage.do(ctx.Request.Context(), call{op: kindExpire}, func(*call) { v.Advance(v.Idle + v.Idle/10) })
	return nil
}

// user returns the name of a user in this order. Each order has names of its own, because
// stores remember when a user was revoked.
func (o *order) user(name string) string { return fmt.Sprintf("%s %d", name, o.number) }

func userOf(s session.Session) string {
	info, _ := session.Describe(s) // the user stays empty if the store has none
	return info.User
}

// recognise complains unless s is a session of a browser.
func (o *order) recognise(who string, b *browser, s session.Session) {
	got, err := s.Get(context.Background(), marker)
	switch {
	case err != nil:
		o.complainOf(wrong(err, nil, "%s: Get of the browser's name", who))
	case got != nil && got != b.name:
		o.complain("%s: the %s browser was given the session of another browser: got %s", who, b.name, show(got))
	}
}
