// Login is a small shop that one logs in to: all that package session does for
// people with a browser, as one program.
//
//	go run ./examples/login
//
// Then open http://localhost:8080 in two browsers, or be one yourself:
//
//	curl -c jar -d user=ada -d password=engine http://localhost:8080/login
//	curl -b jar http://localhost:8080/
//
// With -cert and -key it serves https, and its cookie is as safe as a cookie can be.
// Everything else about sessions the environment says, see docs/configuration.md:
//
//	go run ./examples/login -store sqlite:sessions.db
//	SESSION_STORE=postgres://localhost/shop go run ./examples/login
//	SESSION_STORE=redis://localhost:6379 go run ./examples/login
//	SESSION_STORE=sealed: SESSION_KEYS=$(openssl rand -base64 32) go run ./examples/login
//
// With a name that browsers can bind, the cookie is bound to its device, see
// docs/device-bound.md. That needs https with a certificate that the browser trusts:
//
//	SESSION_DEVICE_BOUND=10m SESSION_COOKIE_NAME=__Host-session go run ./examples/login -cert cert.pem -key key.pem
//
// In a file sessions survive a restart. In a database and in Redis they do, too, and many
// processes are one site. Sealed they are in the browsers, and need no server. (The demo users survive nothing: a password
// that was changed is so in one process, and until it ends.)
//
// This file says what the site is made of. login.go, devices.go and password.go
// are the account, shop.go is what else sessions are good for, forged.go answers
// forms that are too old, and the other files are what every site needs.
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

// fresh is for how long after a password was typed its owner may do what hurts.
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

// equip adds to a Manager what is the program's business and not the operator's.
func equip(m *session.Manager) *session.Manager {
	m.RenewAfter = cmp.Or(m.RenewAfter, 15*time.Minute)   // a stolen cookie is of use for no longer
	m.OnEvent = session.LogEvents(nil)                    // who logs in and out, and what was refused and why
	m.ErrorHandler = func(ctx *mist.Context, err error) { // answers the requests that the guards below refuse
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

// newHandler is the whole site. It works with any store and propagator.
func newHandler(m *session.Manager) http.Handler {
	s := site{m, newUsers()}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware(), m.RequireCSRF(nil)) // forms of other sites get no further

	if m.DeviceBound != 0 { // browsers that can then bind a login to their device
		(&dbsc.Handler{Manager: m, Exclude: []string{"/favicon.ico"}}).Mount(server)
	}
	server.GET("/login", func(ctx *mist.Context) { s.showLogin(ctx, http.StatusOK, loginPage{}) })
	server.POST("/login", s.login)
	server.POST("/logout", s.private(s.logout))

	server.GET("/", s.front)
	server.POST("/cart", s.private(s.add))
	server.POST("/order", s.private(s.order))
	server.POST("/renew", s.private(s.renew))

	// Who finds a browser that somebody forgot to log out cannot do what hurts.
	owner := m.RequireFresh(fresh)
	server.GET("/devices", s.private(s.devices))
	server.POST("/devices", owner(s.private(s.signOut)))
	server.GET("/password", owner(s.private(s.passwordForm)))
	server.POST("/password", owner(s.private(s.changePassword)))
	server.GET("/confirm", s.private(s.confirmForm))
	server.POST("/confirm", s.private(s.confirm))

	return http.MaxBytesHandler(server, 4<<10)
}

// private is a page for those who are logged in. It keeps them logged in while
// they are active: reading does not prolong a session, only RefreshSession does.
func (s site) private(page func(*mist.Context, session.Session) error) mist.HandleFunc {
	return s.sessions.RequireLevel(session.Authenticated)(func(ctx *mist.Context) {
		var sess session.Session
		err := s.sessions.RefreshSession(ctx)
		if err == nil { // only now: the refresh may have renewed the token
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
