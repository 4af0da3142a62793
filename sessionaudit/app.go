package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An App tells the audit how an application is used. Login, Logout, Private and
// Marker are required.
type App struct {
	// Login returns the request that logs a user in; the audit has user 0 and
	// user 1. b is the browser that is going to send it: b.Get fetches a page
	// where the application wants the token of a form. Of the request its method,
	// path, query, header and body count; [Form] makes one. Redirects are followed.
	Login func(b *Browser, user int) *http.Request

	// Logout returns the request that logs out whoever is logged in in b.
	Logout func(b *Browser) *http.Request

	// Private is the path of a page that is for logged-in users only. What it
	// answers to strangers is found out by asking.
	Private string

	// Marker returns a text that Private shows to that user and to nobody else,
	// and no other page shows to strangers.
	Marker func(user int) string

	// Anonymous returns a request that gives a stranger a session without a
	// login, for example by putting something into a cart. Nil: there is none, or
	// visiting a page, or the form of the login, is enough.
	Anonymous func(b *Browser) *http.Request

	// Routes are further paths, for everybody or for users, that are attacked as
	// Private is. Strangers who visit them are not expected to get a session.
	Routes []string

	// Cookie is the name of the cookie that carries the identifier. Empty: it is
	// found out.
	Cookie string

	// Host is the name of the site, for applications that check it, or whose
	// cookie has a Domain. Empty: "example.com".
	Host string

	// Insecure is for applications that are made for plain http, in development:
	// the handler is served so, and the checks of Secure and of the prefix of the
	// name say that they were not made.
	Insecure bool

	// Bound is for applications that bind logins to their device (Device Bound Session
	// Credentials): how long a copied cookie may still log in after the registration, be
	// it the bound one or the one before. The audit waits that long, so let the handler
	// under test bind for a second or a few. Zero: logins are not bound.
	Bound time.Duration

	// Accept holds checks that may fail, by their Name, each with the reason why.
	// They are made, and what they find is logged.
	Accept map[string]string
	// Strict makes the audit fail on hardening too. Without it the audit reports
	// hardening, and fails only on failures.
	Strict bool
}

const defaultHost = "example.com"

// check returns what is wrong with the fields, all of it.
func (a *App) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(a.Login != nil, "Login is nil: it returns the request that logs user 0 or user 1 in")
	need(a.Logout != nil, "Logout is nil: it returns the request that logs out")
	need(strings.HasPrefix(a.Private, "/"), `Private is not a path: it is the page that only users see, such as "/account"`)
	need(a.Marker != nil, "Marker is nil: it returns a text that Private shows to user 0, or to user 1, and to nobody else")
	if a.Marker != nil {
		m0, m1 := a.Marker(0), a.Marker(1)
		need(m0 != "" && m1 != "" && !strings.Contains(m0, m1) && !strings.Contains(m1, m0),
			"Marker: the texts of user 0 and user 1 are empty, or one is part of the other")
	}
	for _, path := range a.Routes {
		need(strings.HasPrefix(path, "/"), fmt.Sprintf("Routes: %q is not a path", path))
	}
	need(a.Bound >= 0, "Bound is negative")
	for name := range a.Accept {
		need(slices.ContainsFunc(Checks(), func(c Check) bool { return c.Name == name }),
			fmt.Sprintf("Accept: there is no check %q", name))
	}
	return errors.Join(errs...)
}

// pages are what is attacked.
func (a *App) pages() []string {
	return append([]string{a.Private}, a.Routes...)
}

// Form returns the POST of a form, of names and values in turn.
func Form(path string, fields ...string) *http.Request {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode())) //nolint:noctx // the audit sends a copy with its own
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}
