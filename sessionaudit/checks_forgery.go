package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
)

func forgeryChecks() []Check {
	const cross = "put http.CrossOriginProtection around the handler, or ask for a token that is bound to the session (Manager.RequireCSRF does both)"
	return []Check{
		{
			"a logout takes more than a link", "3.5.3", "R42",
			"accept a logout by POST only; otherwise a link or an image on any page logs users out",
			logoutByGet,
		},
		{"a logout that another site sends is refused", "3.5.1", "R42", cross, logoutForged},
		{"a login that another site sends is refused", "3.5.1", "R42", cross, loginForged},
	}
}

// attackerOrigin is the site that forges requests.
const attackerOrigin = "https://attacker.test"

// A forgery sets the header of a browser that sends another site's form.
type forgery struct {
	how   string
	forge change
}

func (e *env) forgeries() []forgery {
	from := func(origin, fetched string) change {
		return func(req *http.Request) {
			req.Header.Set("Origin", origin)
			req.Header.Set("Referer", origin+"/")
			req.Header.Del("Sec-Fetch-Site")
			if fetched != "" {
				req.Header.Set("Sec-Fetch-Site", fetched)
			}
		}
	}
	return []forgery{
		{"Sec-Fetch-Site: cross-site, and the Origin of another site", from(attackerOrigin, "cross-site")},
		{"Sec-Fetch-Site: same-site, and the Origin of a subdomain", from(e.url.Scheme+"://sub."+e.url.Host, "same-site")},
		{"the Origin of another site, by a browser without Sec-Fetch", from(attackerOrigin, "")},
	}
}

func logoutByGet(e *env) error {
	b := e.browser()
	if _, err := e.login(b, 0); err != nil {
		return err
	}
	req := e.app.Logout(b)
	if b.err != nil || req == nil {
		return errors.Join(b.err, errors.New("App.Logout made no request"))
	}
	link := &http.Request{Method: http.MethodGet, URL: req.URL}
	a, err := b.send(link, func(req *http.Request) {
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Referer", attackerOrigin+"/")
	})
	if err != nil {
		return err
	}
	page, err := b.get(e.app.Private)
	if err == nil && e.user(page) != 0 {
		err = fmt.Errorf("a link on another site to %s logs the user out", a.to)
	}
	return err
}

// logoutForged sends the attacker's own logout form with the victim's cookies.
func logoutForged(e *env) error {
	victim, attacker := e.browser(), e.browser()
	if _, err := e.login(victim, 0); err != nil {
		return err
	}
	if _, err := e.login(attacker, 1); err != nil {
		return err
	}
	var errs []error
	for _, f := range e.forgeries() {
		req := e.app.Logout(attacker)
		if attacker.err != nil || req == nil {
			return errors.Join(attacker.err, errors.New("App.Logout made no request"))
		}
		if req.Method == http.MethodGet || req.Method == http.MethodHead {
			return notChecked("App.Logout is a " + req.Method)
		}
		a, err := victim.send(req, f.forge)
		if err != nil {
			return err
		}
		page, err := victim.get(e.app.Private)
		if err != nil {
			return err
		}
		if e.user(page) != 0 {
			errs = append(errs, fmt.Errorf("%s logs the user out with %s", a.to, f.how))
			victim = e.browser()
			if _, err = e.login(victim, 0); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}

func loginForged(e *env) error {
	var errs []error
	for _, f := range e.forgeries() {
		attacker, victim := e.browser(), e.browser()
		req := e.app.Login(attacker, 1)
		if attacker.err != nil || req == nil {
			return errors.Join(attacker.err, errors.New("App.Login made no request"))
		}
		a, err := victim.send(req, f.forge)
		if err != nil {
			return err
		}
		page, err := victim.get(e.app.Private)
		if err != nil {
			return err
		}
		if e.user(page) != nobody {
			errs = append(errs, fmt.Errorf("%s logs a visitor in as the attacker with %s", a.to, f.how))
		}
	}
	return errors.Join(errs...)
}
