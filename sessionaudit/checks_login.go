package sessionaudit

import "fmt"

func loginChecks() []Check {
	const (
		fresh = "give the browser a new identifier at every login, also if it sent one (Manager.Login does)"
		ended = "at a login, end the browser's previous session in the store (Manager.Login does)"
	)
	return []Check{
		{"a login does not adopt an identifier that the site never issued", "7.2.4", "R04", fresh, plantedUnknown},
		{"a login replaces the identifier of a stranger", "7.2.4", "R33", fresh, plantedReal},
		{"a login ends the identifier of a stranger", "7.2.4", "R33", ended, plantedRealEnds},
		{"a second login replaces the identifier", "7.2.4", "R33", fresh, secondLogin},
		{"a second login ends the identifier from before", "7.2.4", "R33", ended, secondLoginEnds},
		{
			"a login as another user leaves nothing of the first", "7.2.4", "R33",
			"if the browser's session is another user's, end it and begin with an empty one (Manager.Login does)",
			otherUser,
		},
	}
}

// dead fails if an identifier still logs in.
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
		return fmt.Errorf("the cookie %q was planted with a value that the site never issued, and has the same value after the login", e.name)
	}
	return e.dead(planted, "a value that the site never issued was planted in the cookie; after the login it")
}

// planted logs user 0 in with a browser in which an attacker has planted the identifier of a
// stranger.
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

// strangers returns an identifier that the site gave to a stranger.
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
	e.app.Login(b, 0) // it may fetch the login form, which may start a session
	if b.err == nil && b.token() == "" {
		return "", notChecked("strangers get no identifier; if they can get one, set App.Anonymous")
	}
	return b.token(), b.err
}

func plantedReal(e *env) error {
	planted, token, err := e.planted()
	if err == nil && planted == token {
		err = fmt.Errorf("the cookie %q of a stranger has the same value after the login", e.name)
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
	return e.dead(planted, "the login replaces the identifier of a stranger, but the old identifier still")
}

// twice logs user 0 in twice with one browser.
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
		err = fmt.Errorf("the cookie %q of a logged-in user has the same value after a second login", e.name)
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
	return e.dead(first, "after a second login of the user, the first identifier still")
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
		return fmt.Errorf("the cookie %q of user 0 has the same value after user 1 logged in", e.name)
	}
	for _, path := range e.app.pages() {
		a, err := b.get(path)
		if err != nil {
			return err
		}
		if e.user(a) == 0 {
			return fmt.Errorf("user 1 logged in with the browser of user 0, and %s still shows the Marker of user 0", a.to)
		}
	}
	return e.dead(first, "user 1 logged in with the browser of user 0, and the old identifier still")
}
