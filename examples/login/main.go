// Login is a small shop with user accounts. It shows what package session does for
// people with a browser.
//
//	go run ./examples/login
//
// Then open http://localhost:8080 in two browsers, or use curl:
//
//	curl -c jar -d user=ada -d password=engine http://localhost:8080/login
//	curl -b jar http://localhost:8080/
//
// With -cert and -key the shop serves https and its cookie gets all protections of
// browsers. Environment variables configure the rest, see docs/configuration.md:
//
//	go run ./examples/login -store sqlite:sessions.db
//	SESSION_STORE=postgres://localhost/shop go run ./examples/login
//	SESSION_STORE=redis://localhost:6379 go run ./examples/login
//	SESSION_STORE=sealed: SESSION_KEYS=$(openssl rand -base64 32) go run ./examples/login
//
// Browsers can bind the cookie to their device, see docs/device-bound.md. That needs a
// certificate that the browser trusts:
//
//	SESSION_DEVICE_BOUND=10m go run ./examples/login -cert cert.pem -key key.pem
//
// In a file sessions survive a restart. In a database or Redis they do too, and many
// processes can serve one site. Sealed sessions are in the browsers and need no server.
// The demo users are in memory: a new password lasts until the process ends.
//
// This file has the routes. login.go, devices.go and password.go are the account, shop.go
// keeps a cart in the session, and forged.go answers forms that are too old. The other
// files have what every site needs.
package main

import (
	"cmp"
	"errors"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/dbsc"
)

// fresh is how long users may do dangerous things after they typed their password.
var fresh = 5 * time.Minute

func main() {
	addr := flag.String("addr", "localhost:8080", "`address` to listen on")
	cert := flag.String("cert", "", "certificate `file`, for https")
	key := flag.String("key", "", "`file` of its private key")
	store := flag.String("store", "", "short for SESSION_STORE=`URL`")
	flag.StringVar(store, "redis", "", "the same as -store")
	flag.DurationVar(&fresh, "fresh", fresh, "how `long` a login is fresh enough to change the password")
	flag.Parse()
	https := *cert != "" || *key != ""
	m, closer, err := newManager(*store, https)
	if err != nil {
		log.Fatal(err)
	}
	err = serve(newHandler(equip(m)), *addr, https, *cert, *key)
	if err := errors.Join(err, closer.Close()); err != nil {
		log.Fatal(err)
	}
}

// equip sets the fields of a Manager that the program decides and not the operator.
func equip(m *session.Manager) *session.Manager {
	m.RenewAfter = cmp.Or(m.RenewAfter, 15*time.Minute)   // limits the use of a stolen cookie
	m.OnEvent = session.LogEvents(nil)                    // logs logins, logouts and refusals
	m.ErrorHandler = func(ctx *mist.Context, err error) { // answers requests that the guards below refuse
		if errors.Is(err, session.ErrForged) {
			refused(m, ctx)
			return
		}
		showError(ctx, err)
	}
	return m
}

type site struct {
	sessions *session.Manager
	users    *users
}

// newHandler returns the site. It works with any store and propagator.
func newHandler(m *session.Manager) http.Handler {
	s := site{m, newUsers()}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware(), m.RequireCSRF(nil)) // refuses forms of other sites

	if m.DeviceBound != 0 {
		(&dbsc.Handler{Manager: m, Exclude: []string{"/favicon.ico"}}).Mount(server)
	}
	server.GET("/login", func(ctx *mist.Context) { s.showLogin(ctx, http.StatusOK, loginPage{}) })
	server.POST("/login", s.login)
	server.POST("/logout", s.private(s.logout))

	server.GET("/", s.front)
	server.POST("/cart", s.private(s.add))
	server.POST("/order", s.private(s.order))
	server.POST("/renew", s.private(s.renew))

	// A stranger at a browser that is still logged in cannot do dangerous things.
	owner := m.RequireFresh(fresh)
	server.GET("/devices", s.private(s.devices))
	server.POST("/devices", owner(s.private(s.signOut)))
	server.GET("/password", owner(s.private(s.passwordForm)))
	server.POST("/password", owner(s.private(s.changePassword)))
	server.GET("/confirm", s.private(s.confirmForm))
	server.POST("/confirm", s.private(s.confirm))

	return http.MaxBytesHandler(server, 4<<10)
}

// private returns a page for users. It keeps active users logged in: only
// RefreshSession prolongs a session, and reading does not.
func (s site) private(page func(*mist.Context, session.Session) error) mist.HandleFunc {
	return s.sessions.RequireLevel(session.Authenticated)(func(ctx *mist.Context) {
		var sess session.Session
		err := s.sessions.RefreshSession(ctx)
		if err == nil { // after the refresh, which may have renewed the token
			sess, err = s.sessions.GetSession(ctx)
		}
		if err == nil {
			err = page(ctx, sess)
		}
		if err != nil {
			showError(ctx, err)
		}
	})
}
