package main

import (
	"net/http"
	"net/url"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// refused answers a form that RequireCSRF refused as forged. Most of these forms are no
// attack: a login or a confirmation voids the token of every open form. The answer
// changes nothing and checks no password.
func refused(m *session.Manager, ctx *mist.Context) {
	if sentTwice(m, ctx) {
		redirect(ctx, back(ctx))
		return
	}
	show(ctx, http.StatusForbidden, "forged", formPage(ctx))
}

// sentTwice reports whether the request is a login or a confirmation that this
// browser has made already, so that only the redirect is missing. The form must
// name the user who is logged in. A redirect after any other name would let
// visitors believe that they are logged in as that user.
func sentTwice(m *session.Manager, ctx *mist.Context) bool {
	if path := ctx.Request.URL.Path; path != "/login" && path != "/confirm" {
		return false
	}
	// Another site could try names, and a redirect would tell it who is logged in.
	if http.NewCrossOriginProtection().Check(ctx.Request) != nil {
		return false
	}
	user, err := m.User(ctx)
	return err == nil && user == ctx.Request.PostFormValue("user")
}

// formPage returns the page with the form that the request sent.
func formPage(ctx *mist.Context) string {
	switch path := ctx.Request.URL.Path; path {
	case "/login", "/devices", "/password":
		return path
	case "/confirm":
		return path + "?back=" + url.QueryEscape(back(ctx))
	}
	return "/"
}
