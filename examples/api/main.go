// Api is a notebook for programs: a JSON API whose clients send their token in the header
// Authorization. No browser sends that header by itself, so other sites cannot forge
// requests.
//
//	go run ./examples/api
//
// The response to a login has the header to send from then on. So has every response
// with a new token:
//
//	$ auth=$(curl -s --json '{"user":"ada","password":"engine"}' -w '%header{authorization}' localhost:8080/login)
//	$ curl -s -H "Authorization: $auth" --json '"buy bread"' localhost:8080/notes
//	["buy bread"]
//	$ auth=$(curl -s -H "Authorization: $auth" -X POST -w '%header{authorization}' localhost:8080/renew)
//	$ curl -s -H "Authorization: $auth" localhost:8080/me
//	{"user":"ada","notes":["buy bread"]}
//	$ curl -s -H "Authorization: $auth" localhost:8080/sessions
//	[{"id":"bafdf24a-6f4c-4437-8b6b-19be27ea9ea7","device":"curl/7.88.1","current":true}]
//	$ curl -s -H "Authorization: $auth" -X DELETE -w '%{http_code}\n' localhost:8080/login
//	204
//	$ curl -s -H "Authorization: $auth" localhost:8080/me
//	{"error":"log in first"}
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/memory"
)

// notes are the notes of a program. They end with its session.
var notes = session.NewKey[[]string]("notes")

type api struct{ sessions *session.Manager }

func main() {
	handler := newHandler(&memory.Store{MaxSessions: 100_000})
	server := &http.Server{Addr: "localhost:8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newHandler(store session.Store) http.Handler {
	a := api{&session.Manager{
		Store:           store,
		Propagator:      &header.Propagator{},
		MaxUserSessions: 10, // programs forget to log out
		EndOldest:       true,
		ErrorHandler:    fail,
	}}
	server := mist.InitHTTPServer()
	server.Use(a.sessions.Middleware())
	server.POST("/login", a.login)
	server.DELETE("/login", a.private(a.logout))
	server.POST("/renew", a.private(a.renew))
	server.GET("/me", a.private(a.me))
	server.POST("/notes", a.private(a.note))
	server.GET("/sessions", a.private(a.list))
	return http.MaxBytesHandler(server, 64<<10)
}

// private returns an answer for users. Every request prolongs the session.
func (a api) private(answer func(*mist.Context, session.Session) (any, error)) mist.HandleFunc {
	return a.sessions.RequireLevel(session.Authenticated)(func(ctx *mist.Context) {
		var v any
		var s session.Session
		err := a.sessions.RefreshSession(ctx)
		if err == nil { // after RefreshSession, which may replace the Session
			s, err = a.sessions.GetSession(ctx)
		}
		if err == nil {
			v, err = answer(ctx, s)
		}
		reply(ctx, v, err)
	})
}

func (a api) login(ctx *mist.Context) {
	var who struct{ User, Password string }
	err := decode(ctx, &who)
	if err == nil && !passwordIs(who.User, who.Password) {
		err = session.ErrNotFound
	}
	if err == nil {
		_, err = a.sessions.Login(ctx, who.User)
	}
	reply(ctx, nil, err)
}

func (a api) logout(ctx *mist.Context, _ session.Session) (any, error) {
	return nil, a.sessions.RemoveSession(ctx)
}

func (a api) renew(ctx *mist.Context, _ session.Session) (any, error) {
	return nil, a.sessions.RotateSession(ctx)
}
