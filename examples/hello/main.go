// Hello is the program of the README. It knows its users from login to logout.
package main

import (
	"errors"
	"log"
	"net/http"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

func main() {
	server := &http.Server{Addr: "localhost:8080", Handler: site(), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func site() http.Handler {
	m := &session.Manager{
		Store:      &memory.Store{},
		Propagator: &cookie.Propagator{Insecure: true}, // for development over plain http; without it in production, also behind a proxy that serves https
	}
	server := mist.InitHTTPServer()
	server.POST("/login", func(ctx *mist.Context) { // after the password was checked:
		_, err := m.Login(ctx, ctx.Request.FormValue("name"))
		respond(ctx, "logged in", err)
	})
	server.GET("/", func(ctx *mist.Context) {
		user, err := m.User(ctx)
		respond(ctx, "hello "+user, err)
	})
	server.POST("/logout", func(ctx *mist.Context) { respond(ctx, "logged out", m.RemoveSession(ctx)) })
	return server
}

func respond(ctx *mist.Context, text string, err error) {
	switch {
	case errors.Is(err, session.ErrNotFound):
		ctx.RespStatusCode, text = http.StatusUnauthorized, "log in first"
	case err != nil: // perhaps the store is down, which logs nobody out
		log.Print(err)
		ctx.RespStatusCode, text = http.StatusServiceUnavailable, "try again later"
	}
	ctx.RespData = []byte(text + "\n")
}
