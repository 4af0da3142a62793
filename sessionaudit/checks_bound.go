package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func boundChecks() []Check {
	const signed = "verify each proof with the key of the registration; never replace that key, and never use a key from a refresh"
	return []Check{
		{
			"a copied cookie of a bound session ends", "7.2.1", "R54",
			"let the server refuse a bound cookie after its lifetime, and the cookie of the login soon after the registration; " +
				"Max-Age alone does not stop a thief, because only the browser follows it (Manager.DeviceBound does both)",
			boundIf(copiedEnds),
		},
		{
			"a proof is good once", "6.7.2", "R54",
			"refuse a challenge that was answered before, as long as it is valid (package dbsc does)",
			boundIf(replayed),
		},
		{
			"a device is registered with the cookie of its login", "8.2.2", "R54",
			"derive the challenge of a registration from the session of the cookie, and refuse a registration without that cookie (Manager.BindDevice does)",
			boundIf(registeredByOthers),
		},
		{"another key proves nothing", "9.1.3", "R54", signed, boundIf(otherKeys)},
		{"a proof needs its signature", "9.1.1", "R54", signed, boundIf(unsigned)},
		{
			"registration and refresh are for no other site", "3.5.8", "R54",
			"answer with Cross-Origin-Resource-Policy: same-origin, or refuse requests whose Sec-Fetch-Site names another site, and send no CORS header",
			boundIf(readElsewhere),
		},
	}
}

// boundIf makes a check only for applications that bind logins.
func boundIf(check func(e *env) error) func(e *env) error {
	return func(e *env) error {
		if e.app.Bound == 0 {
			return notChecked("App.Bound is zero")
		}
		return check(e)
	}
}

// noInstructions says that a registration failed.
func noInstructions(a answer) error {
	return fmt.Errorf("%s with the proof of a browser is answered %d, without the instructions of a session", a.to, a.status)
}

// staysLoggedIn fails unless the device can still get a cookie and see the private page.
func (e *env) staysLoggedIn(d *device) error {
	if err := d.refresh(); err != nil {
		return err
	}
	a, err := d.b.get(e.app.Private)
	if err == nil && e.user(a) != 0 {
		err = fmt.Errorf("%s is answered %d to the device that the login is bound to, without the Marker of user 0", a.to, a.status)
	}
	return err
}

func copiedEnds(e *env) error {
	d, err := e.newDevice(0)
	if err != nil {
		return err
	}
	copies := map[string]string{"from before the registration": header(d.b.jar.cookies(e.private))}
	if a, err := d.register(); err != nil || !d.instructed(a) {
		return errors.Join(err, noInstructions(a))
	}
	copies["of the registration"] = header(d.b.jar.cookies(e.private))
	a, err := d.b.get(e.app.Private)
	if err != nil {
		return err
	}
	if e.user(a) != 0 {
		return fmt.Errorf("%s is answered %d with the cookie of the registration, without the Marker of user 0", a.to, a.status)
	}
	if err := e.wait(e.app.Bound); err != nil {
		return err
	}
	for which, line := range copies {
		user, err := e.userOf(line)
		if err == nil && user != nobody {
			err = fmt.Errorf("the cookie %s still logs in as user %d on %s, %v after the registration (App.Bound)", which, user, e.app.Private, e.app.Bound)
		}
		if err != nil {
			return err
		}
	}
	return e.staysLoggedIn(d)
}

func (e *env) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-e.tb.Context().Done():
		return e.tb.Context().Err()
	}
}

func replayed(e *env) error {
	d, err := e.bound()
	if err != nil {
		return err
	}
	proof, err := d.proof()
	if err != nil {
		return err
	}
	for turn, b := range []*Browser{d.b, e.browser()} {
		a, err := d.post(b, d.refreshAt, proof)
		switch {
		case err != nil:
			return err
		case turn == 0 && !d.refreshed(a):
			return fmt.Errorf("%s with the proof of the device is answered %d, without the bound cookie", a.to, a.status)
		case turn > 0 && d.refreshed(a):
			return fmt.Errorf("%s sets the bound cookie again for a proof that was sent before", a.to)
		}
	}
	return e.staysLoggedIn(d)
}

func registeredByOthers(e *env) error {
	d, err := e.newDevice(0)
	if err != nil {
		return err
	}
	other, err := e.newDevice(1)
	if err != nil {
		return err
	}
	for how, b := range map[string]*Browser{"without a cookie": e.browser(), "with the cookie of user 1 and the challenge of user 0": other.b} {
		thief, err := d.withNewKey()
		if err != nil {
			return err
		}
		a, err := thief.registerFrom(b)
		if err == nil && thief.instructed(a) {
			err = fmt.Errorf("%s registers a device %s", a.to, how)
		}
		if err != nil {
			return err
		}
	}
	a, err := d.register()
	if err == nil && !d.instructed(a) {
		err = fmt.Errorf("%s with the proof of the right browser is answered %d after attackers tried, without the instructions of a session", a.to, a.status)
	}
	return err
}

func otherKeys(e *env) error {
	d, err := e.newDevice(0)
	if err != nil {
		return err
	}
	early := e.browser() // a thief who copied the cookie of the login
	early.plant(d.b.token())
	if a, err := d.register(); err != nil || !d.instructed(a) {
		return errors.Join(err, noInstructions(a))
	}
	thief, err := d.withNewKey()
	if err != nil {
		return err
	}
	for _, b := range []*Browser{early, d.b} {
		if a, err := thief.registerFrom(b); err != nil || thief.instructed(a) {
			return errors.Join(err, fmt.Errorf("%s registers a second device for a session", a.to))
		}
	}
	for _, withKey := range []bool{false, true} {
		asked, err := d.ask()
		if err != nil {
			return err
		}
		proof, err := thief.sign(asked, withKey)
		if err != nil {
			return err
		}
		a, err := d.post(e.browser(), d.refreshAt, proof)
		if err == nil && d.refreshed(a) {
			err = fmt.Errorf("%s sets the bound cookie for a proof by another key (the proof contains that key: %v)", a.to, withKey)
		}
		if err != nil {
			return err
		}
	}
	return e.staysLoggedIn(d)
}

func unsigned(e *env) error {
	d, err := e.bound()
	if err != nil {
		return err
	}
	for what, change := range map[string]func(header, claims, signature string) string{
		"without a signature": func(header, claims, _ string) string { return header + "." + claims + "." },
		"with the algorithm none": func(_, claims, _ string) string {
			return segment([]byte(`{"alg":"none","typ":"dbsc+jwt"}`)) + "." + claims + "."
		},
		"with a wrong signature": func(header, claims, signature string) string {
			return header + "." + claims + "." + string(another(signature[0])) + signature[1:]
		},
	} {
		proof, err := d.proof()
		if err != nil {
			return err
		}
		parts := strings.Split(proof, ".")
		a, err := d.post(e.browser(), d.refreshAt, change(parts[0], parts[1], parts[2]))
		if err == nil && d.refreshed(a) {
			err = fmt.Errorf("%s sets the bound cookie for a proof %s", a.to, what)
		}
		if err != nil {
			return err
		}
	}
	return e.staysLoggedIn(d)
}

func readElsewhere(e *env) error {
	d, err := e.bound()
	if err != nil {
		return err
	}
	elsewhere := func(req *http.Request) {
		req.Header.Set("Origin", attackerOrigin)
		req.Header.Set("Referer", attackerOrigin+"/")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Sec-Fetch-Mode", "cors")
		req.Header.Set("Sec-Fetch-Dest", "empty")
	}
	preflight := func(req *http.Request) {
		elsewhere(req)
		req.Method = http.MethodOptions
		req.Header.Set("Access-Control-Request-Method", http.MethodPost)
		req.Header.Set("Access-Control-Request-Headers", "secure-session-response")
	}
	for _, path := range []string{d.offer.path, d.refreshAt} {
		for _, ask := range []change{elsewhere, preflight} {
			a, err := d.post(e.browser(), path, "", ask)
			if err != nil {
				return err
			}
			policy := strings.ToLower(strings.TrimSpace(a.header.Get("Cross-Origin-Resource-Policy")))
			says := a.status < http.StatusBadRequest || len(a.header["Set-Cookie"])+len(a.header["Secure-Session-Challenge"]) > 0
			switch {
			case len(a.header["Access-Control-Allow-Origin"]) > 0:
				return fmt.Errorf("%s lets another site read the answer (Access-Control-Allow-Origin)", a.to)
			case says && policy != "same-origin" && policy != "same-site":
				return fmt.Errorf("%s is answered %d to another site, without Cross-Origin-Resource-Policy", a.to, a.status)
			}
		}
	}
	return e.staysLoggedIn(d)
}
