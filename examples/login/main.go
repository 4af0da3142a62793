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
// With -cert and -key it serves https, and its cookie is as safe as a cookie can
// be. With -redis redis://localhost:6379 sessions live in Redis: they survive a
// restart, and many processes are one site. (The demo users do not: a password
// that was changed is so in one process, and until it ends.)
//
// This file says what the site is made of. login.go, devices.go and password.go
// are the account, shop.go is what else sessions are good for, forged.go answers
// forms that are too old, and the other files are what every site needs.
package main

import (
	"errors"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// fresh is for how long after a password was typed its owner may do what hurts.
var fresh = 5 * time.Minute

func main() {
	addr := flag.String("addr", "localhost:8080", "`address` to listen on")
	cert := flag.String("cert", "", "certificate `file`, for https")
	key := flag.String("key", "", "`file` of its private key")
	redisURL := flag.String("redis", "", "`URL` of the Redis for sessions; empty: they live in this process")
	flag.DurationVar(&fresh, "fresh", fresh, "how `long` a login is fresh enough to change the password")
	flag.Parse()
	https := *cert != "" || *key != ""
	store, release, err := newStore(*redisURL)
	if err != nil {
		log.Fatal(err)
	}
	err = serve(newHandler(newManager(store, https)), *addr, https, *cert, *key)
	if err := errors.Join(err, release()); err != nil {
		log.Fatal(err)
	}
}

func newManager(store session.Store, https bool) *session.Manager {
	m := &session.Manager{
		Store:      store,
		Propagator: &cookie.Propagator{Insecure: !https}, // Insecure is for localhost
		RenewAfter: 15 * time.Minute,                     // a stolen cookie is of use for no longer
		OnEvent:    session.LogEvents(nil),               // who logs in and out, and what was refused and why
	}
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

	server.GET("/login", func(ctx *mist.Context) { s.showLogin(ctx, http.StatusOK, "") })
	server.POST("/login", s.login)
	server.POST("/logout", s.private(s.logout))

	server.GET("/", s.private(s.home))
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
