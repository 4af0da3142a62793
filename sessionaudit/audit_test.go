package sessionaudit_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/dbsc"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessionaudit"
)

// A shop is an application on package session, with a cart for strangers.
type shop struct{ sessions *session.Manager }

// newShop returns one whose forms have tokens, or which only looks at what site a
// request comes from.
func newShop(p session.Propagator, tokens bool) http.Handler {
	return newShopOf(&session.Manager{Store: &memory.Store{}, Propagator: p}, tokens)
}

// newBoundShop returns one that binds logins to their device, for that long.
func newBoundShop(long time.Duration) http.Handler {
	return newShopOf(&session.Manager{
		Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-session"}, DeviceBound: long, RotateGrace: long,
	}, true)
}

func newShopOf(m *session.Manager, tokens bool) http.Handler {
	s := shop{m}
	server := mist.InitHTTPServer()
	if m.DeviceBound != 0 {
		(&dbsc.Handler{Manager: m}).Mount(server)
	}
	server.Use(s.sessions.Middleware())
	if tokens {
		server.Use(s.sessions.RequireCSRF(nil))
	}
	server.POST("/login", s.login)
	server.POST("/logout", s.logout)
	server.POST("/cart", s.cart)
	server.GET("/form", s.form)
	server.GET("/account", s.sessions.RequireLevel(session.Authenticated)(s.account))
	server.POST("/account", s.sessions.RequireLevel(session.Authenticated)(s.account))
	server.GET("/devices", s.sessions.RequireLevel(session.Authenticated)(s.devices))
	if tokens {
		return server
	}
	return http.NewCrossOriginProtection().Handler(server)
}

// user is which of two users a name is; nobody has a password here.
func user(i int) string { return [...]string{"ada", "grace"}[i] }

func fail(ctx *mist.Context, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, session.ErrNotFound) {
		status = http.StatusUnauthorized
	}
	http.Error(ctx.ResponseWriter, http.StatusText(status), status)
}

func show(ctx *mist.Context, page string) {
	ctx.ResponseWriter.Header().Set("Cache-Control", "no-store")
	_, _ = ctx.ResponseWriter.Write([]byte(page))
}

func (s shop) login(ctx *mist.Context) {
	if _, err := s.sessions.Login(ctx, ctx.Request.PostFormValue("user")); err != nil {
		fail(ctx, err)
		return
	}
	http.Redirect(ctx.ResponseWriter, ctx.Request, "/account", http.StatusSeeOther)
}

func (s shop) logout(ctx *mist.Context) {
	if err := s.sessions.RemoveSession(ctx); err != nil {
		fail(ctx, err)
		return
	}
	http.Redirect(ctx.ResponseWriter, ctx.Request, "/form", http.StatusSeeOther)
}

func (s shop) cart(ctx *mist.Context) {
	sess, err := s.sessions.GetSession(ctx)
	if errors.Is(err, session.ErrNotFound) {
		sess, err = s.sessions.InitSession(ctx)
	}
	if err == nil {
		err = sess.Set(ctx.Request.Context(), "cart", "apples")
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	show(ctx, "It is in your cart.")
}

// form is a page with nothing but the token of a form.
func (s shop) form(ctx *mist.Context) {
	sess, err := s.sessions.GetSession(ctx)
	if err != nil {
		show(ctx, "") // there is nothing to protect
		return
	}
	token, err := session.CSRFToken(ctx.Request.Context(), sess)
	if err != nil {
		fail(ctx, err)
		return
	}
	show(ctx, token)
}

func (s shop) account(ctx *mist.Context) {
	sess, err := s.sessions.GetSession(ctx)
	if err != nil {
		fail(ctx, err)
		return
	}
	info, err := session.Describe(sess)
	if err != nil {
		fail(ctx, err)
		return
	}
	show(ctx, "Hello, "+info.User+"! Your session is "+info.ID)
}

func (s shop) devices(ctx *mist.Context) {
	if err := s.sessions.RefreshSession(ctx); err != nil {
		fail(ctx, err)
		return
	}
	show(ctx, "Your devices.")
}

// describe tells the audit how the shop is used, with the tokens of its forms.
func describe() sessionaudit.App {
	form := func(b *sessionaudit.Browser, path, user string) *http.Request {
		return sessionaudit.Form(path, "user", user, session.CSRFField, b.Get("/form"))
	}
	return sessionaudit.App{
		Login:     func(b *sessionaudit.Browser, i int) *http.Request { return form(b, "/login", user(i)) },
		Logout:    func(b *sessionaudit.Browser) *http.Request { return form(b, "/logout", "") },
		Anonymous: func(b *sessionaudit.Browser) *http.Request { return form(b, "/cart", "") },
		Private:   "/account",
		Marker:    func(i int) string { return "Hello, " + user(i) + "!" },
		Routes:    []string{"/devices", "/form"},
		Strict:    true,
	}
}

// TestShop: an application on package session passes, without hardening that it
// did not choose.
func TestShop(t *testing.T) {
	t.Run("it looks where requests come from", func(t *testing.T) {
		sessionaudit.Run(t, newShop(&cookie.Propagator{}, false), describe())
	})
	t.Run("its forms have tokens", func(t *testing.T) {
		sessionaudit.Run(t, newShop(&cookie.Propagator{}, true), describe())
	})
	t.Run("bound to the device", func(t *testing.T) {
		app := describe()
		app.Bound = time.Second
		sessionaudit.Run(t, newBoundShop(time.Second), app)
	})
	t.Run("and programs use it", func(t *testing.T) {
		app := describe()
		app.Strict = false // a bearer token that works besides the cookie is hardening
		sessionaudit.Run(t, newShop(session.Chain{&cookie.Propagator{}, &header.Propagator{}}, true), app)
	})
	t.Run("over plain http", func(t *testing.T) {
		app := describe()
		app.Insecure = true
		sessionaudit.Run(t, newShop(&cookie.Propagator{Insecure: true}, false), app)
	})
	t.Run("for subdomains, and for a month", func(t *testing.T) {
		app := describe()
		app.Host = "shop.test"
		app.Accept = map[string]string{"the cookie is for no other host": "the help pages are on help.shop.test"}
		p := &cookie.Propagator{Name: "__Secure-id", Domain: "shop.test", MaxAge: 30 * 24 * time.Hour}
		sessionaudit.Run(t, newShop(p, true), app)
	})
}
