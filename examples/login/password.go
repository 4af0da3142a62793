package main

import (
	"net/http"
	"unicode/utf8"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// confirmPage is what the template "confirm" shows.
type confirmPage struct {
	frame
	Problem, Back string
}

// passwordPage is what the template "password" shows.
type passwordPage struct {
	frame
	Problem string
}

// confirmForm asks for the password. showError sends users here if their login is not
// fresh.
func (s site) confirmForm(ctx *mist.Context, sess session.Session) error {
	return showConfirm(ctx, sess, http.StatusOK, "")
}

func showConfirm(ctx *mist.Context, sess session.Session, status int, problem string) error {
	f, err := newFrame(ctx, sess)
	if err != nil {
		return err
	}
	show(ctx, status, "confirm", confirmPage{f, problem, back(ctx)})
	return nil
}

// confirm makes the login fresh and returns to the page that needed it.
func (s site) confirm(ctx *mist.Context, sess session.Session) error {
	user, err := s.sessions.User(ctx)
	if err != nil {
		return err
	}
	if !s.users.passwordIs(user, ctx.Request.PostFormValue("password")) {
		return showConfirm(ctx, sess, http.StatusUnauthorized, "That is not your password.")
	}
	if _, err := s.sessions.Reauthenticate(ctx, 0); err != nil {
		return err
	}
	redirect(ctx, back(ctx))
	return nil
}

// back returns the page to show after a confirmation. A hostile link cannot name any
// other page than these.
func back(ctx *mist.Context) string {
	switch path := ctx.Request.FormValue("back"); path {
	case "/devices", "/password":
		return path
	}
	return "/"
}

func (s site) passwordForm(ctx *mist.Context, sess session.Session) error {
	return showPassword(ctx, sess, http.StatusOK, "")
}

func showPassword(ctx *mist.Context, sess session.Session, status int, problem string) error {
	f, err := newFrame(ctx, sess)
	if err != nil {
		return err
	}
	show(ctx, status, "password", passwordPage{f, problem})
	return nil
}

// changePassword also ends every session that began with the old password.
func (s site) changePassword(ctx *mist.Context, sess session.Session) error {
	password := ctx.Request.PostFormValue("new")
	if problem := unfit(password, ctx.Request.PostFormValue("again")); problem != "" {
		return showPassword(ctx, sess, http.StatusUnprocessableEntity, problem)
	}
	user, err := s.sessions.User(ctx)
	if err != nil {
		return err
	}
	// PasswordChanged after setPassword would do, too. In this order nothing has changed
	// if the store fails at Reauthenticate, and the user can send the form again if it
	// fails later. The old token has no grace, so a copy of the cookie is worthless.
	if sess, err = s.sessions.Reauthenticate(ctx, 0); err != nil {
		return err
	}
	if err = s.users.setPassword(user, password); err != nil {
		return err
	}
	// Only after setPassword: the store then refuses a login that checked the old password.
	n, err := s.sessions.RemoveUserSessions(ctx, user, sess.ID())
	if err != nil {
		return err
	}
	return done(ctx, sess, "/devices", "Your password is changed. "+signedOut(n))
}

// unfit says why a new password is not acceptable.
func unfit(password, again string) string {
	switch {
	case utf8.RuneCountInString(password) < 8:
		return "A password has at least 8 characters."
	case len(password) > 72:
		return "A password has at most 72 bytes." // the limit of bcrypt
	case password != again:
		return "Those were two different passwords."
	}
	return ""
}
