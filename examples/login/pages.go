package main

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"log"
	"net/http"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

//go:embed pages.html
var pagesHTML string

var pages = template.Must(template.New("pages").Parse(pagesHTML))

// show answers with a page that no cache keeps, nor the one behind the browser's
// back button: after a logout it has nothing to show.
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
	_, _ = body.WriteTo(ctx.ResponseWriter) // an error here: nobody is there to be told
}

// showError tells apart who is not logged in, and who may well be but cannot be
// looked up just now.
func showError(ctx *mist.Context, err error) {
	if errors.Is(err, session.ErrNotFound) {
		show(ctx, http.StatusUnauthorized, "unauthorized", nil)
		return
	}
	log.Print(err)
	show(ctx, http.StatusServiceUnavailable, "unavailable", nil)
}

// redirect answers a form, so that reloading the page does not send it again.
func redirect(ctx *mist.Context, to string) {
	http.Redirect(ctx.ResponseWriter, ctx.Request, to, http.StatusSeeOther)
}
