package session_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// leakScript is a use of everything: whoever adds a flow to the module adds it
// here.
func leakScript() []func(l *leaky) {
	alice, bob, program, stale, device := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
	login := func(b *webtest.Browser, login session.Login) func(l *leaky) {
		return func(l *leaky) {
			l.visit(b, nil, func(ctx *mist.Context) error { _, err := l.LoginWith(ctx, login); return err })
		}
	}
	do := func(b *webtest.Browser, flow func(l *leaky, ctx *mist.Context) error) func(l *leaky) {
		return func(l *leaky) { l.visit(b, nil, func(ctx *mist.Context) error { return flow(l, ctx) }) }
	}
	wait := func(d time.Duration) func(l *leaky) { return func(*leaky) { time.Sleep(d) } }
	keep := func(*leaky) { stale.Cookies = alice.Tab().Cookies }
	refresh := func(l *leaky, ctx *mist.Context) error { return l.RefreshSession(ctx) }
	rotate := func(l *leaky, ctx *mist.Context) error { return l.RotateSession(ctx) }
	remove := func(l *leaky, ctx *mist.Context) error { return l.RemoveSession(ctx) }
	look := func(l *leaky, ctx *mist.Context) error {
		_, err := session.FromContext(ctx.Request.Context())
		l.RequireFresh(time.Minute)(func(*mist.Context) {})(ctx)
		return err
	}
	prove := func(l *leaky, ctx *mist.Context) error { return proved(l, ctx, device) }
	return []func(l *leaky){
		do(alice, func(l *leaky, ctx *mist.Context) error { _, err := l.InitSession(ctx); return err }),
		do(alice, values),
		do(alice, refresh),
		keep,
		login(alice, session.Login{User: "alice", Persistent: true}),
		do(stale, look),
		do(alice, forgery),
		keep,
		do(alice, rotate),
		do(alice, rotate),
		do(alice, look),
		wait(2 * time.Minute),
		do(stale, look), // reused
		do(stale, rotate),
		do(alice, refresh), // and renewed
		func(l *leaky) { disfigured(l, alice.Cookies[leakCookie]) },
		do(alice, late),
		do(alice, func(l *leaky, ctx *mist.Context) error { _, err := l.Reauthenticate(ctx, 2); return err }),
		login(bob, session.Login{User: "alice"}),
		login(&webtest.Browser{}, session.Login{User: "alice"}),                                  // one too many
		login(&webtest.Browser{}, session.Login{User: "alice", MaxSessions: 1, EndOldest: true}), // ends the others
		login(bob, session.Login{User: "bob", Began: time.Now().Add(-2 * time.Hour)}),            // too late
		login(bob, session.Login{User: "bob", AbsoluteTimeout: 1}),                               // cannot be
		login(bob, session.Login{User: strings.Repeat("u", 300)}),                                // nor this
		login(bob, session.Login{User: "bob"}),                                                   //
		login(bob, session.Login{User: "carol"}),                                                 // over somebody else's
		login(program, session.Login{User: "alice"}),                                             //
		func(l *leaky) { broken(l, alice) },
		do(bob, func(l *leaky, ctx *mist.Context) error {
			infos, err := l.UserSessions(ctx, "carol")
			l.tell(infos)
			for _, info := range infos {
				err = errors.Join(err, l.RemoveUserSession(ctx, "alice", info.ID), l.RemoveUserSession(ctx, "carol", info.ID))
			}
			return err
		}),
		do(bob, func(l *leaky, ctx *mist.Context) error { _, err := l.RemoveUserSessions(ctx, "carol"); return err }),
		do(bob, look),
		do(program, look),
		do(program, func(_ *leaky, _ *mist.Context) error { panic("the handler's own") }),
		do(program, remove),
		do(program, remove),
		do(bob, func(l *leaky, ctx *mist.Context) error { _, err := l.InitSession(ctx); return err }),
		login(alice, session.Login{User: "dave", AbsoluteTimeout: 90 * time.Minute}),
		login(device, session.Login{User: "erin"}),
		do(device, prove), // not bound yet
		do(device, bound),
		do(device, prove),
		busy,
		wait(45 * time.Minute),
		do(device, look), // its token has ended
		do(device, prove),
		do(alice, refresh),
		wait(45 * time.Minute),
		do(alice, look), // expired
		do(bob, look),   // this, too
		do(alice, refresh),
		do(stale, remove),
	}
}

// values uses all that a session can do.
func values(l *leaky, ctx *mist.Context) error {
	s, err := l.GetSession(ctx)
	if err != nil {
		return err
	}
	c := ctx.Request.Context()
	token, err := session.CSRFToken(c, s)
	if err == nil {
		l.issue(token)
	}
	_, messages := session.Flashes(c, s)
	_, popped := session.Pop(c, s, "none")
	_, err2 := session.All(c, s)
	shown, err3 := json.Marshal(s)
	info, err4 := session.Describe(s)
	l.tell(string(shown))
	l.tell(info)
	return errors.Join(err, messages, popped, err2, err3, err4,
		s.Set(c, "k", "v"), s.Set(c, "k", make(chan int)), s.Set(c, strings.Repeat("k", 300), 1),
		session.SetAll(c, s, map[string]any{"a": 1}), session.Delete(c, s, "a"),
		session.AddFlash(c, s, "saved"),
		session.Update(c, s, "k", func(any) (any, error) { return nil, errors.New("no") }),
		session.CheckCSRFToken(c, s, token), session.CheckCSRFToken(c, s, token+"x"))
}

// forgery is a request with tokens that are not good, or not any more.
func forgery(l *leaky, ctx *mist.Context) error {
	s, err := l.GetSession(ctx)
	if err != nil {
		return err
	}
	token, err := session.CSRFToken(ctx.Request.Context(), s)
	if err != nil {
		return err
	}
	l.issue(token)
	ctx.Request.Method = http.MethodPost
	for _, sent := range []string{token[:80], token + "A", strings.ToLower(token), token} {
		ctx.Request.Header.Set(session.CSRFHeader, sent)
		l.RequireCSRF(nil)(func(*mist.Context) {})(ctx)
		ctx.Aborted = false
		err = errors.Join(err, session.CheckCSRFToken(ctx.Request.Context(), s, sent))
	}
	return err
}

// disfigured sends a good token in every way but the right one.
func disfigured(l *leaky, token string) {
	id, secret, _ := strings.Cut(token, ".")
	for _, line := range []string{
		token + "; " + leakCookie + "=" + token, `"` + token + `"`, token + ".", "." + token, secret, "." + secret, token + "\x01",
		strings.ToLower(token), token[:len(token)-min(len(token), 1)], id + ".." + secret, id + "." + secret + "=", token + token, token + " " + token,
		"unknown." + strings.Repeat("A", 26), strings.Repeat(token, 100),
	} {
		for _, name := range []string{"Cookie", "Authorization"} {
			l.visit(&webtest.Browser{}, func(r *http.Request) {
				prefix := "Bearer "
				if name == "Cookie" {
					prefix = leakCookie + "="
				}
				r.Header[name] = []string{prefix + line}
			}, func(ctx *mist.Context) error {
				_, err := l.GetSession(ctx)
				return errors.Join(err, l.RotateSession(ctx), l.RefreshSession(ctx), l.RemoveSession(ctx))
			})
		}
	}
}

// late is everything after the header is out.
func late(l *leaky, ctx *mist.Context) error {
	ctx.ResponseWriter.WriteHeader(http.StatusOK)
	_, err := l.InitSession(ctx)
	_, err2 := l.Login(ctx, "alice")
	_, err3 := l.Reauthenticate(ctx, 0)
	return errors.Join(err, err2, err3, l.RotateSession(ctx))
}

// bound binds the session of a browser to its device, and once more.
func bound(l *leaky, ctx *mist.Context) error {
	verify := func(string) (string, error) { return "device", nil }
	_, err := l.BindDevice(ctx, verify)
	_, again := l.BindDevice(ctx, verify)
	return errors.Join(err, again)
}

// proved answers a challenge for the session of a browser, twice.
func proved(l *leaky, ctx *mist.Context, b *webtest.Browser) error {
	id, _, _ := strings.Cut(b.Cookies[leakCookie], ".")
	challenge := rand.Text()
	verify := func(string, time.Time) (string, error) { return challenge, nil }
	_, err := l.ProveDevice(ctx, id, verify)
	_, again := l.ProveDevice(ctx, id, verify)
	return errors.Join(err, again)
}

// busy causes more events than OnEvent can take. They are not calls of the store, so
// this runs once only.
func busy(l *leaky) {
	if l.faults.Plan != nil {
		return
	}
	l.busy.Store(true)
	var all sync.WaitGroup
	for range 70 {
		all.Go(func() {
			l.visit(&webtest.Browser{Cookies: map[string]string{leakCookie: "malformed"}}, nil, func(ctx *mist.Context) error {
				_, err := l.GetSession(ctx)
				return err
			})
		})
	}
	all.Wait()
	l.busy.Store(false)
	time.Sleep(time.Minute)
}

// broken is a propagator that fails in every flow, and managers that cannot work.
func broken(l *leaky, b *webtest.Browser) {
	outage := errors.New("broken propagator")
	for _, op := range []string{"inject", "extract", "clear"} {
		for _, f := range webtest.Flows {
			l.visit(b.Tab(), nil, func(ctx *mist.Context) error {
				l.spy.Fail(webtest.Fault{Op: op, After: false, Err: outage})
				defer l.spy.Take()
				return f.Call(l.Manager, ctx)
			})
		}
	}
	for _, m := range []*session.Manager{nil, {}, {Store: l.Store}, {Store: l.Store, Propagator: session.Chain{}}} {
		l.tell(m.Check())
		func() {
			defer func() { l.tell(recover()) }()
			m.Middleware()
		}()
	}
}
