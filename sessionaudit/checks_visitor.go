package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
)

func visitorChecks() []Check {
	return []Check{
		{
			"visitors get no session unasked", "7.6.2", "R40",
			"start a session when there is something to store, not for every page; otherwise each request of a crawler costs a record",
			unasked,
		},
		{
			"users at the same time do not mix", "15.4.1", "R50",
			"keep no data of a request in a place that other requests read: globals, fields of handlers, pooled objects, shared caches",
			together,
		},
	}
}

// unaskedAt reports the visitors who get a session by visiting a page.
func (e *env) unaskedAt(path string) (errs []error, err error) {
	for _, cookies := range [][]string{nil, {e.name + "=" + e.forged()}} {
		a, err := e.ask(path, withCookies(cookies...))
		if err != nil {
			return nil, err
		}
		visitor := "a visitor without cookies"
		if cookies != nil {
			visitor = "a visitor with a value that the site never issued"
		}
		if len(e.issued(a)) > 0 {
			errs = append(errs, fmt.Errorf("%s sets the cookie %q for %s", a.to, e.name, visitor))
		}
	}
	return errs, nil
}

func unasked(e *env) error {
	var errs []error
	for _, path := range e.app.pages() {
		found, err := e.unaskedAt(path)
		if err != nil {
			return err
		}
		errs = append(errs, found...)
	}
	stranger := e.browser()
	req := e.app.Logout(stranger)
	if stranger.err != nil || req == nil {
		return errors.Join(stranger.err, errors.New("App.Logout made no request"))
	}
	a, err := stranger.send(req)
	if err != nil {
		return err
	}
	if a.status >= http.StatusInternalServerError {
		errs = append(errs, fmt.Errorf("%s by a visitor who is not logged in is answered %d", a.to, a.status))
	}
	if len(e.issued(a)) > 0 {
		errs = append(errs, fmt.Errorf("%s sets the cookie %q for a visitor who is not logged in", a.to, e.name))
	}
	return errors.Join(errs...)
}

const (
	concurrentRequests = 16 // requests at once
	rounds             = 10
)

func together(e *env) error {
	var browsers [2]*Browser
	for user := range browsers {
		browsers[user] = e.browser()
		if _, err := e.login(browsers[user], user); err != nil {
			return err
		}
	}
	errs := make([]error, concurrentRequests)
	var all sync.WaitGroup
	for i := range concurrentRequests {
		all.Go(func() {
			for range rounds {
				a, err := browsers[i%2].get(e.app.Private)
				if err == nil {
					err = e.only(a, i%2)
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the first finding is enough
		}
	}
	return nil
}

// only fails unless a page shows this user and not the other.
func (e *env) only(a answer, user int) error {
	mine, theirs := e.shows(a, user), e.shows(a, 1-user)
	switch {
	case theirs:
		return fmt.Errorf("%s shows user %d the Marker of user %d, while both send requests", a.to, user, 1-user)
	case !mine:
		return fmt.Errorf("%s is answered %d to user %d without their Marker, while both users send requests", a.to, a.status, user)
	}
	return nil
}
