// Login is a small shop that one logs in to: the main job of package session as
// one program.
//
//	go run ./examples/login
//
// Then open http://localhost:8080, or be a browser yourself:
//
//	curl -c jar -d user=ada -d password=engine http://localhost:8080/login
//	curl -b jar http://localhost:8080/
//	curl -b jar -c jar -d '' http://localhost:8080/logout
//
// With -cert and -key it serves https, and its cookie is as safe as a cookie can
// be. With -redis redis://localhost:6379 sessions live in Redis: they survive a
// restart, and many processes are one site. This file is the login, shop.go what
// sessions are good for, and the other files are what every site needs.
package main

import (
	"errors"
	"flag"
	"log"
	"net/http"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// user is who a session is logged in as.
var user = session.NewKey[string]("user")

func main() {
	addr := flag.String("addr", "localhost:8080", "`address` to listen on")
	cert := flag.String("cert", "", "certificate `file`, for https")
	key := flag.String("key", "", "`file` of its private key")
	redisURL := flag.String("redis", "", "`URL` of the Redis for sessions; empty: they live in this process")
	flag.Parse()
	https := *cert != "" || *key != ""
	store, release, err := newStore(*redisURL)
	if err != nil {
		log.Fatal(err)
	}
	m := &session.Manager{
		Store:      store,
		Propagator: &cookie.Propagator{Insecure: !https}, // Insecure is for localhost
	}
	err = serve(newHandler(m), *addr, https, *cert, *key)
	if err := errors.Join(err, release()); err != nil {
		log.Fatal(err)
	}
}

type site struct{ sessions *session.Manager }

// newHandler is the whole site. It works with any store and propagator.
func newHandler(m *session.Manager) http.Handler {
	m.ErrorHandler = showError // for RequireSession
	s := site{m}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware())
	server.GET("/login", func(ctx *mist.Context) { show(ctx, http.StatusOK, "login", "") })
	server.POST("/login", s.login)
	server.GET("/", s.private(s.home))
	server.POST("/cart", s.private(s.add))
	server.POST("/order", s.private(s.order))
	server.POST("/renew", s.private(s.renew))
	server.POST("/logout", s.private(s.logout))
	// Forms of other sites are refused before anything else sees them.
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(server, 4<<10))
}

// private is a page for those who are logged in. It keeps them logged in while
// they are active: reading does not prolong a session, only RefreshSession does.
func (s site) private(page func(*mist.Context, session.Session) error) mist.HandleFunc {
	return s.sessions.RequireSession()(func(ctx *mist.Context) {
		sess, err := s.sessions.GetSession(ctx)
		if err == nil {
			err = s.sessions.RefreshSession(ctx)
		}
		if err == nil {
			err = page(ctx, sess)
		}
		if err != nil {
			showError(ctx, err)
		}
	})
}

func (s site) login(ctx *mist.Context) {
	name := ctx.Request.PostFormValue("user")
	if !passwordIs(name, ctx.Request.PostFormValue("password")) {
		show(ctx, http.StatusUnauthorized, "login", "That user name and password do not match.")
		return
	}
	if err := s.start(ctx, name); err != nil {
		showError(ctx, err)
		return
	}
	redirect(ctx, "/")
}

// start logs the visitor in with a new session. One that they had, perhaps of
// another user, perhaps planted by an attacker, hands nothing on and ends.
func (s site) start(ctx *mist.Context, name string) error {
	old, err := s.sessions.GetSession(ctx)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return err
	}
	sess, err := s.sessions.InitSession(ctx)
	if err != nil {
		return err
	}
	if err := user.Set(ctx.Request.Context(), sess, name); err != nil {
		ctx.ResponseWriter.Header().Del("Set-Cookie") // who was logged in before stays so
		return errors.Join(err, s.sessions.Store.Remove(ctx.Request.Context(), sess.ID()))
	}
	if old == nil {
		return nil
	}
	return s.sessions.Store.Remove(ctx.Request.Context(), old.ID())
}

// renew gives the browser another token. The session stays the same one.
func (s site) renew(ctx *mist.Context, sess session.Session) error {
	if err := s.sessions.RotateSession(ctx); err != nil {
		return err
	}
	return done(ctx, sess, "Your browser has a new token.")
}

func (s site) logout(ctx *mist.Context, _ session.Session) error {
	if err := s.sessions.RemoveSession(ctx); err != nil {
		return err
	}
	redirect(ctx, "/login")
	return nil
}
