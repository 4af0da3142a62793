package sessiontest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// A fraud is what the Explorer has to find of sessions that clients keep.
type fraud struct {
	burst string // that shows it
	finds string // part of what the Explorer says
	store func(c *brokenSealed)
	flows map[string]flow
}

func frauds() map[string]fraud {
	// The requests of so many sessions, one after the other, share what they know.
	shared := func(sessions int) func(c *brokenSealed) {
		return func(c *brokenSealed) {
			of := make(map[string]*session.Delivery)
			var last *session.Delivery
			c.open = func(ctx context.Context, token string) (session.Session, error) {
				alone, err := c.Store.Open(ctx, token)
				if err != nil {
					return nil, err
				}
				shared := of[alone.ID()]
				if shared == nil {
					if len(of)%sessions == 0 {
						last = new(session.Delivery)
					}
					shared, of[alone.ID()] = last, last
				}
				shared.Name, shared.MaxToken, shared.Deliver = cookieName, 3000, session.DeliveryOf(ctx).Deliver
				return c.Store.Open(session.WithDelivery(ctx, shared), token)
			}
		}
	}
	return map[string]fraud{
		"deadlines are ignored": {burst: "write expire", finds: "a cookie opens a session that had ended by its idle timeout", store: func(c *brokenSealed) {
			c.IdleTimeout, c.AbsoluteTimeout = 400*24*time.Hour, 400*24*time.Hour
		}},
		"deadlines are ignored within a request": {burst: "write expire", finds: "Set worked on a session that had ended by its idle timeout", store: func(c *brokenSealed) {
			c.set = func(ctx context.Context, s session.Session, key string, value any) error {
				if err := s.Set(ctx, key, value); !errors.Is(err, session.ErrNotFound) {
					return err
				}
				return nil
			}
		}},
		"sessions end early": {burst: "write", finds: "no longer opens its session, but nothing had ended it", store: func(c *brokenSealed) {
			c.open = func(ctx context.Context, token string) (session.Session, error) {
				s, err := c.Store.Open(ctx, token)
				if v, _ := ctx.Value(visitKey{}).(*visit); err == nil && v == nil {
					return nil, session.ErrExpiredIdle
				}
				return s, err
			}
		}},
		"a request finds nothing":                      {burst: "write write", finds: "Open found no session, but nothing had ended it", store: forgetsEveryOther},
		"requests share what they know of a session":   {burst: "write write", finds: "what its request did not see", store: shared(1)},
		"requests share what they know of all":         {burst: "write write2", finds: "found no session, but nothing had ended it", store: shared(2)},
		"the last visitor's session":                   {burst: "write write2", finds: "browser was given the session of another browser", store: opensTheLast},
		"the session of the last request":              {burst: "login write", finds: "a session that the request does not have", store: opensTheLast},
		"Revoked is ignored after a logout":            {burst: "in: logout", finds: "a cookie opens a session that had ended by a logout", store: neverRevoked},
		"Revoked is ignored after a revocation":        {burst: "in: revoke", finds: "a cookie opens a session that had ended by a revocation", store: neverRevoked},
		"Revoked is ignored after a login":             {burst: "in: login", finds: "a cookie opens a session that had ended by a login", store: neverRevoked},
		"Revoked is ignored within a request":          {burst: "in: write revoke", finds: "Set worked on a session that had ended by a revocation", store: neverRevoked},
		"Revoked is ignored by what a request left":    {burst: "in: write logout", finds: "Set after a session had ended by a logout", store: neverRevoked},
		"a login is let in that began before":          {burst: "login revoke", finds: "a cookie opens a session that had ended by a revocation", store: forgetsBegan},
		"a login is let in that is late":               {burst: "late", finds: "a login succeeded whose check began too long ago", store: forgetsBegan},
		"a login finds a revocation where there is no": {burst: "login login", finds: "Login: got the error \"session: ", store: func(c *brokenSealed) { c.login = failsLogin(session.ErrRevoked) }},
		"a login fails in its own way":                 {burst: "login", finds: "Login: got the error \"sessiontest: fault\"", store: func(c *brokenSealed) { c.login = failsLogin(ErrFault) }},
		"the seal of an end is good without its last character": {
			burst: "write", finds: "that was never given away",
			store: func(c *brokenSealed) {
				known := make(map[string]string)
				c.open = func(ctx context.Context, token string) (session.Session, error) {
					known[token[:len(token)-1]] = token
					if whole, ok := known[token]; ok {
						token = whole
					}
					return c.Store.Open(ctx, token)
				}
			},
		},
		"two seals are joined": {burst: "write", finds: "that was never given away", store: func(c *brokenSealed) {
			known := make(map[string]string)
			c.open = func(ctx context.Context, token string) (session.Session, error) {
				s, err := c.Store.Open(ctx, token)
				half := token[:min(100, len(token))]
				if whole, ok := known[half]; ok && err != nil {
					return c.Store.Open(ctx, whole)
				}
				known[half] = token
				return s, err
			}
		}},
		"a write is acknowledged, and dropped": {burst: "write", finds: "the client was given no cookie", store: func(c *brokenSealed) {
			c.set = func(context.Context, session.Session, string, any) error { return nil }
		}},
		"a login forgets its values": {burst: "login", finds: "a cookie does not show a write from before", store: func(c *brokenSealed) {
			c.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
				l.Values = nil
				return c.Store.Login(ctx, token, l)
			}
		}},
		"a refused write is there": {burst: "write", finds: "a cookie shows what its request did not see", store: func(c *brokenSealed) {
			c.set = func(ctx context.Context, s session.Session, key string, value any) error {
				err := s.Set(ctx, key, value)
				if err == nil && key != marker {
					err = ErrFault
				}
				return err
			}
		}},
		"another key is written": {burst: "write write", finds: "a cookie shows what its request did not see", store: func(c *brokenSealed) {
			c.set = func(ctx context.Context, s session.Session, key string, value any) error {
				return errors.Join(s.Set(ctx, key, value), s.Set(ctx, "2.write", "ann"))
			}
		}},
		"rotation keeps the token, and no session": {burst: "rotate", finds: "the client was given a cookie, but has no session", flows: map[string]flow{
			"rotate": func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				return errors.Join(v.manager.RemoveSession(ctx), v.manager.Propagator.Inject(v.sent, ctx.ResponseWriter))
			},
		}},
		"a logout leaves the cookie": {burst: "logout", finds: "the client was not told to forget its session", flows: map[string]flow{
			kindLogout: func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				return v.manager.Store.Remove(session.WithDelivery(ctx.Request.Context(), new(session.Delivery)), v.loaded.ID())
			},
		}},
		"a write deletes the cookie": {burst: "write", finds: "the client was told to forget its session", flows: map[string]flow{
			"write": func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				return v.manager.Propagator.Remove(ctx.ResponseWriter)
			},
		}},
		"a login takes over the session of another user": {burst: "in: login-other", finds: "a cookie shows what its request did not see", flows: map[string]flow{
			kindOther: func(v *visit, ctx *mist.Context) error {
				err := loginAs("bob")(v, ctx)
				if err == nil {
					reqctx := ctx.Request.Context()
					s, _ := v.got.(interface{ Unwrap() session.Session })
					err = session.SetAll(reqctx, s.Unwrap(), record(reqctx, v.loaded))
				}
				return err
			},
		}},
		"a login goes on with another id": {burst: "in: login", finds: "did not go on with the user's own", store: func(c *brokenSealed) {
			c.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
				if token != "" {
					l.ID = ""
					s, err := c.Store.Open(ctx, token)
					if userOf(s) != "" && err == nil {
						_ = c.Store.Remove(ctx, s.ID())
						return c.Store.Login(ctx, "", l)
					}
				}
				return c.Store.Login(ctx, token, l)
			}
		}},
		"a login takes a token of another user": {burst: "in: login-other", finds: "a login took over the session of another user", store: func(c *brokenSealed) {
			c.login = func(ctx context.Context, _ string, l session.Login) (session.Session, error) {
				return c.Store.Login(ctx, "", l)
			}
		}, flows: map[string]flow{
			kindOther: func(v *visit, ctx *mist.Context) error {
				us, _ := capability[session.UserStore](v.manager.Store)
				_, err := us.Login(ctx.Request.Context(), v.sent, session.Login{User: v.user("bob")})
				return err
			},
		}},
		"a value cannot be read": {burst: "write", finds: "Get of a value: got the error", store: func(c *brokenSealed) {
			c.get = func(ctx context.Context, s session.Session, key string) (any, error) {
				if key == marker {
					return s.Get(ctx, key)
				}
				return nil, ErrFault
			}
		}},
		"a cookie opens once": {burst: "write", finds: "with a cookie: got the error", store: func(c *brokenSealed) {
			c.open = func(ctx context.Context, token string) (session.Session, error) {
				if v, _ := ctx.Value(visitKey{}).(*visit); v == nil {
					return nil, ErrFault
				}
				return c.Store.Open(ctx, token)
			}
		}},
		"a cookie opens another session": {burst: "login write", finds: "a cookie opens the session of somebody else", store: opensTheLast},
		"a panic": {burst: "write", finds: "panic: ouch", flows: map[string]flow{
			"write": func(*visit, *mist.Context) error { panic("ouch") },
		}},
	}
}

// neverRevoked notes what has ended, and asks nobody.
func neverRevoked(c *brokenSealed) {
	c.Revoked = func(context.Context, session.Info) (bool, error) { return false, nil }
}

// forgetsBegan does not look when the check of a password began.
func forgetsBegan(c *brokenSealed) {
	c.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		l.Began = time.Time{}
		return c.Store.Login(ctx, token, l)
	}
}

func forgetsEveryOther(c *brokenSealed) {
	c.open = func(ctx context.Context, token string) (session.Session, error) {
		if v, _ := ctx.Value(visitKey{}).(*visit); v != nil && v.name == "2.write" {
			return nil, session.ErrNotFound
		}
		return c.Store.Open(ctx, token)
	}
}

// opensTheLast opens what was opened before.
func opensTheLast(c *brokenSealed) {
	last := ""
	c.open = func(ctx context.Context, token string) (session.Session, error) {
		before := last
		last = token
		if s, err := c.Store.Open(ctx, before); err == nil {
			return s, nil
		}
		return c.Store.Open(ctx, token)
	}
}

func failsLogin(err error) func(context.Context, string, session.Login) (session.Session, error) {
	return func(context.Context, string, session.Login) (session.Session, error) { return nil, err }
}

func (f fraud) explorer(middleware bool) Explorer {
	return Explorer{
		New: func(*testing.T) session.Store {
			c := newBrokenSealed()
			if f.store != nil {
				f.store(c)
			}
			return c
		},
		Idle: testIdle, Middleware: middleware, ByDesign: new(Losses), goOn: true, flows: f.flows,
	}
}

// TestExplorerOfClientsCanFail holds the Explorer against sessions of clients that are
// broken beyond what is so by design.
func TestExplorerOfClientsCanFail(t *testing.T) {
	for name, f := range frauds() {
		t.Run(name, func(t *testing.T) {
			for _, middleware := range []bool{false, true} {
				if x := (fraud{}).explorer(middleware).one(t, f.burst); x.wrong > 0 {
					t.Errorf("%s: a good store: %s", f.burst, x.found[0])
				}
				x := f.explorer(middleware).one(t, f.burst)
				if !x.all || !strings.Contains(strings.Join(x.found, "\n"), f.finds) {
					t.Fatalf("%s: %v, none says %q: %q", f.burst, x, f.finds, x.found)
				}
				if !strings.Contains(f.finds, "panic") { // whose stack is not for reading
					for _, text := range x.found {
						readable(t, text)
					}
				}
				t.Logf("%s: %d of %d orders\n%s", f.burst, x.wrong, x.orders, x.found[0])
			}
		})
	}
}

// TestLosses is what is known of sessions that clients keep.
func TestLosses(t *testing.T) {
	for _, test := range []struct {
		burst   string
		revokes bool
		want    Losses
	}{
		{"write", true, Losses{Orders: 1}},
		{"write write2", true, Losses{Orders: 20}},
		// Only one after the other, with the new cookie, loses nothing.
		{"write write", true, Losses{Orders: 11, Writes: 10, Replays: 1}},
		{"update update", true, Losses{Orders: 36, Writes: 35, Replays: 1}},
		// The anonymous session outlives its login.
		{"write login", true, Losses{Orders: 22, Writes: 10, Replays: 1, Undone: 10, Ended: 22}},
		{"in: write logout", true, Losses{Orders: 18, Replays: 1}},
		{"in: write logout", false, Losses{Orders: 22, Replays: 1, Undone: 10, Ended: 22}},
		{"in: login", true, Losses{Orders: 1}},
		{"in: login", false, Losses{Orders: 1, Ended: 1}},
	} {
		e := (fraud{store: func(c *brokenSealed) {
			if !test.revokes {
				c.Revoked, c.Revoke = nil, nil
			}
		}}).explorer(true)
		if x := e.one(t, test.burst); x.losses != test.want || x.wrong > 0 {
			t.Errorf("%s: got %+v and %d wrong, want %+v", test.burst, x.losses, x.wrong, test.want)
		}
	}
}

// TestExplorerByDesign: a store cannot be excused by mistake, nor be blamed.
func TestExplorerByDesign(t *testing.T) {
	e := goodExplorer()
	e.ByDesign = new(Losses)
	if _, err := e.possible(t); err == nil {
		t.Error("a store that keeps its sessions may lose writes")
	}
	e = (fraud{}).explorer(false)
	e.ByDesign = nil
	if _, err := e.possible(t); err == nil {
		t.Error("a ClientStore is held to what it cannot promise")
	}
}
