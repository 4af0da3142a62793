package main

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessionaudit"
)

func TestAudit(t *testing.T) {
	names, passwords := [...]string{"ada", "grace"}, [...]string{"engine", "compiler"}
	field := regexp.MustCompile(`name="csrf_token" value="([^"]*)"`)
	form := func(b *sessionaudit.Browser, page, path string, fields ...string) *http.Request {
		if m := field.FindStringSubmatch(b.Get(page)); m != nil {
			fields = append(fields, "csrf_token", m[1])
		}
		return sessionaudit.Form(path, fields...)
	}
	app := sessionaudit.App{
		Login: func(b *sessionaudit.Browser, user int) *http.Request {
			return form(b, "/login", "/login", "user", names[user], "password", passwords[user])
		},
		Logout:  func(b *sessionaudit.Browser) *http.Request { return form(b, "/", "/logout") },
		Private: "/",
		Marker:  func(user int) string { return `<span id="user">` + names[user] },
		Routes:  []string{"/login", "/devices", "/password", "/confirm"},
		Strict:  true,
	}
	t.Run("memory", func(t *testing.T) { sessionaudit.Run(t, newHandler(managerOf(&memory.Store{}, true)), app) })
	t.Run("bound to the device", func(t *testing.T) {
		m := equip(&session.Manager{
			Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-session"},
			DeviceBound: time.Second, RotateGrace: time.Second,
		})
		app := app
		app.Bound = time.Second
		sessionaudit.Run(t, newHandler(m), app)
	})
	t.Run("sealed", func(t *testing.T) {
		store := revocable(&sealed.Store{Keys: [][]byte{sealed.NewKey()}})
		sessionaudit.Run(t, newHandler(managerOf(store, true)), app)
	})
}
