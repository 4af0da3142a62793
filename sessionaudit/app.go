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

// An App tells the audit how to use an application. Login, Logout, Private and Marker are
// required.
type App struct {
	// Login returns the request that logs in user 0 or user 1. b is the browser that will
	// send it; b.Get fetches a page first, if the login needs the token of a form. The
	// audit uses the request's method, path, query, header and body, and follows redirects.
	// [Form] makes such a request.
	Login func(b *Browser, user int) *http.Request

	// Logout returns the request that logs out the user of b.
	Logout func(b *Browser) *http.Request

	// Private is the path of a page for logged-in users only. The audit asks for it to learn
	// how the site answers strangers.
	Private string

	// Marker returns a text that Private shows to this user only, and that no page shows to
	// strangers.
	Marker func(user int) string

	// Anonymous returns a request that gives a stranger a session without a login, for
	// example by adding to a cart. Nil: strangers get no session, or get one by visiting a
	// page or the login form.
	Anonymous func(b *Browser) *http.Request

	// Routes lists further paths, public or private. The audit attacks them like Private,
	// and expects that a stranger's visit there starts no session.
	Routes []string

	// Cookie is the name of the cookie with the identifier. Empty: the audit finds it.
	Cookie string

	// Host is the name of the site, for applications that check it or set a cookie with a
	// Domain. Empty: "example.com".
	Host string

	// Insecure serves the handler over plain http, for applications in development. The
	// checks of Secure and of the name's prefix then report that they were not made.
	Insecure bool

	// Bound is for applications that bind logins to a device (Device Bound Session
	// Credentials). It is how long a copied cookie, from before or after the registration, may
	// still log in. The audit waits that long, so let the handler under test bind for a few
	// seconds only. Zero: logins are not bound.
	Bound time.Duration

	// Accept lists checks that may fail, each with the reason. The audit still makes them
	// and logs their findings.
	Accept map[string]string

	// Strict makes the audit fail on hardening too.
	Strict bool
}

const defaultHost = "example.com"

// check validates the fields and reports all mistakes.
func (a *App) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(a.Login != nil, "Login is nil: it must return the request that logs in user 0 or user 1")
	need(a.Logout != nil, "Logout is nil: it must return the request that logs out")
	need(strings.HasPrefix(a.Private, "/"), `Private is not a path: name a page for logged-in users only, such as "/account"`)
	need(a.Marker != nil, "Marker is nil: it must return a text that Private shows only to user 0, or only to user 1")
	if a.Marker != nil {
		m0, m1 := a.Marker(0), a.Marker(1)
		need(m0 != "" && m1 != "" && !strings.Contains(m0, m1) && !strings.Contains(m1, m0),
			"Marker: the text of user 0 or user 1 is empty, or one text contains the other")
	}
	for _, path := range a.Routes {
		need(strings.HasPrefix(path, "/"), fmt.Sprintf("Routes: %q is not a path", path))
	}
	need(a.Bound >= 0, "Bound is negative")
	for name := range a.Accept {
		need(slices.ContainsFunc(Checks(), func(c Check) bool { return c.Name == name }),
			fmt.Sprintf("Accept: no check has the name %q", name))
	}
	return errors.Join(errs...)
}

// pages returns the paths that the audit attacks.
func (a *App) pages() []string {
	return append([]string{a.Private}, a.Routes...)
}

// Form returns the POST request of a form. fields alternates names and values.
func Form(path string, fields ...string) *http.Request {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode())) //nolint:noctx // the audit sends a copy with a context
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}
