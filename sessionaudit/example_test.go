package sessionaudit_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/mist-contrib/session/sessionaudit"
)

// The audit of an application, in a test of its own.
func ExampleRun() {
	users := [2][2]string{{"ada", "engine"}, {"grace", "compiler"}} // and their passwords
	newHandler := func() http.Handler { return http.NotFoundHandler() }
	_ = func(t *testing.T) { // func TestSessions(t *testing.T)
		sessionaudit.Run(t, newHandler(), sessionaudit.App{
			Login: func(_ *sessionaudit.Browser, user int) *http.Request {
				return sessionaudit.Form("/login", "user", users[user][0], "password", users[user][1])
			},
			Logout:  func(*sessionaudit.Browser) *http.Request { return sessionaudit.Form("/logout") },
			Private: "/account",
			Marker:  func(user int) string { return "Hello, " + users[user][0] },
			Routes:  []string{"/orders", "/about"},
			Accept: map[string]string{
				"the cookie is for no other host": "help.example.com greets users by their names",
			},
		})
	}
	// Output:
}

// An application whose forms have tokens: the browser that logs in fetches the
// form first.
func ExampleBrowser_Get() {
	_ = sessionaudit.App{
		Logout: func(b *sessionaudit.Browser) *http.Request {
			req := sessionaudit.Form("/logout")
			req.Header.Set("X-CSRF-Token", b.Get("/csrf-token"))
			return req
		},
	}
	// Output:
}

func ExampleChecks() {
	for _, c := range sessionaudit.Checks()[:3] {
		fmt.Println(c.ASVS, c.Requirement, c.Name)
	}
	// Output:
	// 7.2.4 R04 a login does not adopt an identifier that the site never issued
	// 7.2.4 R33 a login replaces the identifier of a stranger
	// 7.2.4 R33 a login ends the identifier of a stranger
}
