package sessionaudit

import "fmt"

func loginChecks() []Check {
	const (
		fresh = "give the browser a new identifier at every login, whatever it brought (Manager.Login does)"
		ended = "end the session that the browser had when somebody logs in, in the store (Manager.Login does)"
	)
	return []Check{
		{"a login does not adopt an identifier that the site never issued", "7.2.4", "R04", fresh, plantedUnknown},
		{"a login replaces the identifier of a stranger", "7.2.4", "R33", fresh, plantedReal},
		{"a login ends the identifier of a stranger", "7.2.4", "R33", ended, plantedRealEnds},
		{"a second login replaces the identifier", "7.2.4", "R33", fresh, secondLogin},
		{"a second login ends the identifier from before", "7.2.4", "R33", ended, secondLoginEnds},
		{
			"a login as another user leaves nothing of the first", "7.2.4", "R33",
			"begin with an empty session when the one that the browser has is another user's, and end that (Manager.Login does)",
			otherUser,
		},
	}
}

// dead says what is wrong where an identifier still logs in.
func (e *env) dead(token, what string) error {
	user, err := e.opens(token)
	if err == nil && user != nobody {
		err = fmt.Errorf("%s logs in as user %d on %s", what, user, e.app.Private)
	}
	return err
}

func plantedUnknown(e *env) error {
	victim, planted := e.browser(), e.forged()
	victim.plant(planted)
	token, err := e.login(victim, 0)
	if err != nil {
		return err
	}
	if token == planted {
		return fmt.Errorf("the cookie %q was planted with a value that the site never issued; it is the same after the login", e.name)
	}
	return e.dead(planted, "a value that the site never issued was planted before the login, and")
}

// planted logs user 0 in, in a browser with an identifier that an attacker was
// given as a stranger.
func (e *env) planted() (planted, token string, err error) {
	attacker := e.browser()
	if planted, err = e.strangers(attacker); err != nil {
		return "", "", err
	}
	victim := e.browser()
	victim.plant(planted)
	token, err = e.login(victim, 0)
	return planted, token, err
}

// strangers returns an identifier of somebody who did not log in.
func (e *env) strangers(b *Browser) (string, error) {
	if e.app.Anonymous != nil {
		req := e.app.Anonymous(b)
		if b.err != nil || req == nil {
			return "", fmt.Errorf("App.Anonymous made no request: %w", b.err)
		}
		if _, err := b.follow(req); err != nil {
			return "", err
		}
		if b.token() == "" {
			return "", fmt.Errorf("App.Anonymous: %s %s gave no cookie %q", req.Method, req.URL.Path, e.name)
		}
		return b.token(), nil
	}
	for _, path := range e.app.pages() {
		if _, err := b.get(path); err != nil {
			return "", err
		}
	}
	e.app.Login(b, 0) // what it fetches may come with a session
	if b.err == nil && b.token() == "" {
		return "", notChecked("strangers are given no identifier; if they can get one, say how in App.Anonymous")
	}
	return b.token(), b.err
}

func plantedReal(e *env) error {
	planted, token, err := e.planted()
	if err == nil && planted == token {
		err = fmt.Errorf("the cookie %q that a stranger was given is the same after the login", e.name)
	}
	return err
}

func plantedRealEnds(e *env) error {
	planted, token, err := e.planted()
	if err != nil {
		return err
	}
	if planted == token {
		return notChecked("the login does not replace it")
	}
	return e.dead(planted, "an identifier that a stranger was given was planted before the login; it is replaced, but the old one")
}

// twice logs user 0 in twice, in one browser.
func (e *env) twice() (first, second string, err error) {
	b := e.browser()
	if first, err = e.login(b, 0); err == nil {
		second, err = e.login(b, 0)
	}
	return first, second, err
}

func secondLogin(e *env) error {
	first, second, err := e.twice()
	if err == nil && first == second {
		err = fmt.Errorf("the cookie %q of a user who is logged in is the same after they log in again", e.name)
	}
	return err
}

func secondLoginEnds(e *env) error {
	first, second, err := e.twice()
	if err != nil {
		return err
	}
	if first == second {
		return notChecked("the login does not replace it")
	}
	return e.dead(first, "a user who was logged in logged in again; the identifier from before")
}

func otherUser(e *env) error {
	b := e.browser()
	first, err := e.login(b, 0)
	if err != nil {
		return err
	}
	second, err := e.login(b, 1)
	if err != nil {
		return err
	}
	if first == second {
		return fmt.Errorf("the cookie %q of user 0 is the same after user 1 logged in", e.name)
	}
	for _, path := range e.app.pages() {
		a, err := b.get(path)
		if err != nil {
			return err
		}
		if e.user(a) == 0 {
			return fmt.Errorf("user 1 logged in where user 0 was; %s shows the Marker of user 0", a.to)
		}
	}
	return e.dead(first, "user 1 logged in where user 0 was; the identifier of user 0")
}
