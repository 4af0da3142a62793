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
			"begin a session when there is something to keep, not when a page is asked for; a crawler costs a record per request otherwise",
			unasked,
		},
		{
			"users at the same time do not mix", "15.4.1", "R50",
			"keep nothing of a request where other requests find it: globals, fields of handlers, pooled objects, shared caches",
			together,
		},
	}
}

// unaskedAt returns who gets a session by visiting a page.
func (e *env) unaskedAt(path string) (errs []error, err error) {
	for _, cookies := range [][]string{nil, {e.name + "=" + e.forged()}} {
		a, err := e.ask(path, carrying(cookies...))
		if err != nil {
			return nil, err
		}
		who := "a visitor without any"
		if cookies != nil {
			who = "a visitor with a value that the site never issued"
		}
		if len(e.gives(a)) > 0 {
			errs = append(errs, fmt.Errorf("%s sets the cookie %q for %s", a.to, e.name, who))
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
	if len(e.gives(a)) > 0 {
		errs = append(errs, fmt.Errorf("%s sets the cookie %q for a visitor who is not logged in", a.to, e.name))
	}
	return errors.Join(errs...)
}

const (
	crowd  = 16 // requests at once
	rounds = 10
)

func together(e *env) error {
	var browsers [2]*Browser
	for user := range browsers {
		browsers[user] = e.browser()
		if _, err := e.login(browsers[user], user); err != nil {
			return err
		}
	}
	errs := make([]error, crowd)
	var all sync.WaitGroup
	for i := range crowd {
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
			return err // one is as good as sixteen
		}
	}
	return nil
}

// only says what is wrong unless a page is for that user and for nobody else.
func (e *env) only(a answer, user int) error {
	mine, theirs := e.shows(a, user), e.shows(a, 1-user)
	switch {
	case theirs:
		return fmt.Errorf("%s shows user %d what is of user %d, while both send requests", a.to, user, 1-user)
	case !mine:
		return fmt.Errorf("%s does not show user %d their Marker (status %d), while both send requests", a.to, user, a.status)
	}
	return nil
}
