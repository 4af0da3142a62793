package main

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

//go:embed pages.html
var pagesHTML string

var pages = template.Must(template.New("pages").Funcs(template.FuncMap{
	"device": deviceName,
	"ago":    ago,
	"date":   func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
}).Parse(pagesHTML))

// A frame is the part that all pages for users share.
type frame struct {
	User    string
	CSRF    string   // the token that every form needs
	Flashes []string // messages that the user sees once
}

func newFrame(ctx *mist.Context, sess session.Session) (f frame, err error) {
	info, err := session.Describe(sess)
	if err != nil {
		return f, err
	}
	f.User = info.User
	if f.CSRF, err = session.CSRFToken(ctx.Request.Context(), sess); err != nil {
		return f, err
	}
	f.Flashes, err = session.Flashes(ctx.Request.Context(), sess)
	return f, err
}

// show answers with a page that no cache keeps. After a logout the back button of the
// browser shows nothing private.
func show(ctx *mist.Context, status int, name string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		log.Print(err)
		http.Error(ctx.ResponseWriter, "Something is broken here.", http.StatusInternalServerError)
		return
	}
	h := ctx.ResponseWriter.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	ctx.ResponseWriter.WriteHeader(status)
	_, _ = body.WriteTo(ctx.ResponseWriter) // fails if the browser has gone
}

// showError answers a request that failed. If the store is down, the user may well be
// logged in, so the page must not tell them to log in.
func showError(ctx *mist.Context, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, session.ErrNotFound) && unrefreshed(ctx):
		show(ctx, http.StatusServiceUnavailable, "unavailable", nil)
	case errors.Is(err, session.ErrNotFound):
		show(ctx, http.StatusUnauthorized, "unauthorized", nil)
	case errors.Is(err, session.ErrReauthenticate):
		redirect(ctx, "/confirm?back="+url.QueryEscape(ctx.Request.URL.Path))
	case errors.As(err, &large):
		show(ctx, http.StatusRequestEntityTooLarge, "large", formPage(ctx))
	default:
		log.Print(err)
		show(ctx, http.StatusServiceUnavailable, "unavailable", nil)
	}
}

// unrefreshed reports whether the browser could not get a new bound cookie, because
// the store was down or the browser had signed too often.
func unrefreshed(ctx *mist.Context) bool {
	return ctx.Request.Header.Get("Secure-Session-Skipped") != ""
}

// done answers a form with a redirect to a page that shows message.
func done(ctx *mist.Context, sess session.Session, to, message string) error {
	if err := session.AddFlash(ctx.Request.Context(), sess, message); err != nil {
		return err
	}
	redirect(ctx, to)
	return nil
}

// redirect makes the browser get a page, so a reload does not send the form again.
func redirect(ctx *mist.Context, to string) {
	http.Redirect(ctx.ResponseWriter, ctx.Request, to, http.StatusSeeOther)
}
