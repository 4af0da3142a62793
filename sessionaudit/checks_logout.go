package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func logoutChecks() []Check {
	return []Check{
		{
			"a logout ends the session", "7.4.1", "R34",
			"remove the session from the store, not only the cookie from the browser (Manager.RemoveSession does)",
			logoutEnds,
		},
		{
			"a logout ends the session on every route", "7.4.1", "R34",
			"look up the session at each request, on each route that needs one",
			logoutEndsEverywhere,
		},
		{
			"a logout takes the cookie from the browser", "14.3.1", "R23",
			"send a Set-Cookie of the same name with Max-Age=0 (Manager.RemoveSession does)",
			logoutDeletes,
		},
		{
			"the cookie is deleted with the attributes it was set with", "14.3.1", "R18",
			"delete it with the same Path, Domain, Secure, HttpOnly, SameSite and Partitioned, or browsers may keep it. " +
				"It is hardening if the browser of the audit forgets the cookie despite a difference: " +
				"no attack follows in a browser that keeps RFC 6265bis",
			deletedAlike,
		},
	}
}

// loggedOut logs user 0 in, visits all pages, logs out, and returns the old identifier.
func (e *env) loggedOut() (b *Browser, token string, answers []answer, err error) {
	b = e.browser()
	if _, err = e.login(b, 0); err != nil {
		return nil, "", nil, err
	}
	for _, path := range e.app.pages() {
		if _, err := b.get(path); err != nil {
			return nil, "", nil, err
		}
	}
	token = b.token() // a page may have renewed it
	answers, err = e.logout(b)
	return b, token, answers, err
}

func logoutEnds(e *env) error {
	_, token, answers, err := e.loggedOut()
	if err != nil {
		return err
	}
	if err := e.dead(token, "after "+answers[0].to+" the old identifier still"); err != nil {
		return err
	}
	// A logout with the old identifier must not bring it back.
	thief := e.browser()
	thief.plant(token)
	if answers, err = e.logout(thief); err != nil {
		return err
	}
	if answers[0].status >= http.StatusInternalServerError {
		return fmt.Errorf("%s with an identifier that is already logged out was answered %d", answers[0].to, answers[0].status)
	}
	return e.dead(token, "after a second logout the old identifier")
}

func logoutEndsEverywhere(e *env) error {
	if len(e.app.Routes) == 0 {
		return notChecked("App.Routes is empty")
	}
	_, token, _, err := e.loggedOut()
	if err != nil {
		return err
	}
	if user, err := e.opens(token); err != nil || user != nobody {
		return errors.Join(err, notChecked("a logout does not end the session on "+e.app.Private))
	}
	var errs []error
	for _, path := range e.app.Routes {
		stranger, err := e.ask(path)
		if err != nil {
			return err
		}
		a, err := e.ask(path, withCookies(e.name+"="+token))
		if err != nil {
			return err
		}
		if e.user(a) != nobody || letIn(a) && !letIn(stranger) {
			errs = append(errs, fmt.Errorf("%s is answered %d with an identifier that is logged out, and %d without", a.to, a.status, stranger.status))
		}
	}
	return errors.Join(errs...)
}

func letIn(a answer) bool { return a.status < http.StatusMultipleChoices }

// deletes reports whether a browser forgets what c sets.
func deletes(c *http.Cookie) bool {
	return c.MaxAge < 0 || c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(time.Now())
}

func logoutDeletes(e *env) error {
	b, token, answers, err := e.loggedOut()
	if err != nil {
		return err
	}
	for _, a := range answers {
		if len(a.cookies(e.name)) > 0 {
			return nil // the next check reads its attributes
		}
	}
	if b.token() == token {
		return fmt.Errorf("%s leaves the cookie %q in the browser", answers[0].to, e.name)
	}
	return nil
}

func deletedAlike(e *env) error {
	b, token, answers, err := e.loggedOut()
	if err != nil {
		return err
	}
	var found []error
	set, deletions := e.lastSet(), 0
	for _, a := range answers {
		for _, c := range a.cookies(e.name) {
			if !deletes(c) {
				continue
			}
			deletions++
			if differ := differences(set, c); differ != "" {
				found = append(found, fmt.Errorf("%s deletes the cookie %q with another %s than it was set with", a.to, e.name, differ))
			}
		}
	}
	if deletions == 0 {
		return notChecked("a logout does not delete the cookie")
	}
	if b.token() == token {
		kept := fmt.Errorf("%s deletes the cookie %q in a way that browsers refuse, or sets it again", answers[0].to, e.name)
		return errors.Join(append(found, kept)...)
	}
	e.remark(errors.Join(found...))
	return nil
}

// lastSet returns the session's cookie as the site set it last.
func (e *env) lastSet() *http.Cookie {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := &http.Cookie{}
	for _, a := range e.seen {
		for _, c := range a.cookies(e.name) {
			if !deletes(c) {
				last = c
			}
		}
	}
	return last
}

// differences names the attributes in which two cookies differ.
func differences(a, b *http.Cookie) string {
	var names []string
	add := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	add("Path", a.Path == b.Path)
	add("Domain", a.Domain == b.Domain)
	add("Secure", a.Secure == b.Secure)
	add("HttpOnly", a.HttpOnly == b.HttpOnly)
	add("SameSite", a.SameSite == b.SameSite)
	add("Partitioned", a.Partitioned == b.Partitioned)
	return strings.Join(names, ", ")
}
