package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

const day = 24 * time.Hour

// loginPage is what the template "login" shows.
type loginPage struct {
	Problem  string
	User     string // the name that a refused form had
	Remember bool
	CSRF     string
}

// showLogin shows the form, also to users that are logged in: they may change to another account.
func (s site) showLogin(ctx *mist.Context, status int, page loginPage) {
	sess, err := s.sessions.GetSession(ctx)
	if err == nil {
		page.CSRF, err = session.CSRFToken(ctx.Request.Context(), sess)
	}
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		showError(ctx, err)
		return
	}
	show(ctx, status, "login", page)
}

// login checks the password and then calls Login, which gives the browser a new token.
// Older tokens open nothing, even one that an attacker planted. A session of another user
// ends.
func (s site) login(ctx *mist.Context) {
	// RequireCSRF reads the form only if the request has a session.
	var large *http.MaxBytesError
	if err := ctx.Request.ParseForm(); errors.As(err, &large) {
		showError(ctx, err)
		return
	}
	name := ctx.Request.PostFormValue("user")
	remember := ctx.Request.PostFormValue("remember") != ""
	refuse := func(problem string) {
		s.showLogin(ctx, http.StatusUnauthorized, loginPage{Problem: problem, User: name, Remember: remember})
	}
	if !s.users.passwordIs(name, ctx.Request.PostFormValue("password")) {
		refuse("That user name and password do not match.")
		return
	}
	var err error
	if !remember {
		_, err = s.sessions.Login(ctx, name)
	} else {
		_, err = s.sessions.LoginWith(ctx, session.Login{
			User:            name,
			IdleTimeout:     14 * day,
			AbsoluteTimeout: 90 * day,
			Persistent:      true, // the browser keeps the cookie when it is closed
		})
	}
	switch {
	case errors.Is(err, session.ErrRevoked): // the password may have changed after the check
		refuse("You were signed out everywhere at this moment. Please log in again.")
	case err != nil:
		showError(ctx, err)
	default:
		redirect(ctx, "/")
	}
}

func (s site) logout(ctx *mist.Context, _ session.Session) error {
	if err := s.sessions.RemoveSession(ctx); err != nil {
		return err
	}
	redirect(ctx, "/login")
	return nil
}

// renew gives the browser a new token now. RenewAfter does the same from time to time.
// The session stays the same.
func (s site) renew(ctx *mist.Context, sess session.Session) error {
	if err := s.sessions.RotateSession(ctx); err != nil {
		return err
	}
	return done(ctx, sess, "/", "Your browser has a new token.")
}
