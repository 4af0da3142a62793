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

// confirmForm is where showError sends those whose login is not fresh.
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

// confirm makes the login fresh, and goes on where it had to be.
func (s site) confirm(ctx *mist.Context, sess session.Session) error {
	info, err := session.Describe(sess)
	if err != nil {
		return err
	}
	if !s.users.passwordIs(info.User, ctx.Request.PostFormValue("password")) {
		return showConfirm(ctx, sess, http.StatusUnauthorized, "That is not your password.")
	}
	if _, err := s.sessions.Reauthenticate(ctx, 0); err != nil {
		return err
	}
	redirect(ctx, back(ctx))
	return nil
}

// back is where to go on after a confirmation: a page of ours that asks for one,
// whatever a link to the form says.
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

// changePassword also ends what somebody may have got with the old password.
func (s site) changePassword(ctx *mist.Context, sess session.Session) error {
	password := ctx.Request.PostFormValue("new")
	if problem := unfit(password, ctx.Request.PostFormValue("again")); problem != "" {
		return showPassword(ctx, sess, http.StatusUnprocessableEntity, problem)
	}
	info, err := session.Describe(sess)
	if err != nil {
		return err
	}
	// A copy of this browser's cookie is no other session, but its end as well:
	// the token is new, and the old one has no grace.
	if sess, err = s.sessions.Reauthenticate(ctx, 0); err != nil {
		return err
	}
	// In this order: nobody logs in with the old password after the sessions were
	// ended, and a login that has checked it before is refused by the store.
	if err := s.users.setPassword(info.User, password); err != nil {
		return err
	}
	n, err := s.sessions.RemoveUserSessions(ctx, info.User, sess.ID())
	if err != nil {
		return err
	}
	return done(ctx, sess, "/devices", "Your password is changed. "+signedOut(n))
}

// unfit says why a password cannot be one.
func unfit(password, again string) string {
	switch {
	case utf8.RuneCountInString(password) < 8:
		return "A password has at least 8 characters."
	case len(password) > 72:
		return "A password has at most 72 bytes." // of more bcrypt knows nothing
	case password != again:
		return "Those were two different passwords."
	}
	return ""
}
