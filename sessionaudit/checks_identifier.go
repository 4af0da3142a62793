package sessionaudit

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func identifierChecks() []Check {
	const elsewhere = "read identifiers only from the cookie; identifiers for other clients must not work for browsers"
	const header = ". It is hardening if the header logs in for one request and sets no cookie: no attack follows in a browser that keeps " +
		"RFC 6265bis, because no script can read an HttpOnly cookie, and no form or link can send such a header"
	return []Check{
		{
			"an identifier that is changed in one character logs nobody in", "7.2.1", "R01",
			"compare the whole identifier exactly, on the server, at every request", changed,
		},
		{"an identifier in a URL logs nobody in", "14.2.1", "R21", elsewhere, inURL},
		{"an identifier in a form logs nobody in", "3.3.4", "R21", elsewhere, inForm},
		{"an identifier in another header logs nobody in", "3.3.4", "R21", elsewhere + header, inHeader},
	}
}

// tries is the number of positions at which an identifier is changed.
const tries = 64

func changed(e *env) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	// The last character may contain unused bits (base64).
	step := max(1, (len(token)-1)/tries)
	for i := 0; i < len(token)-1; i += step {
		v := []byte(token)
		v[i] = another(v[i])
		user, err := e.opens(string(v))
		if err != nil {
			return err
		}
		if user != nobody {
			return fmt.Errorf("an identifier of user 0 with another character at position %d of %d logs in as user %d", i+1, len(token), user)
		}
	}
	return nil
}

// names returns the names that applications give to an identifier.
func (e *env) names() []string {
	return []string{e.name, "session", "session_id", "sessionid", "sid", "token", "access_token", "id", "auth"}
}

// elsewhere sends the identifier of user 0 outside the cookie. If a page shows the user, that
// is a finding of kind k.
func (e *env) elsewhere(k kind, method, where string, change func(req *http.Request, token string)) error {
	token, err := e.login(e.browser(), 0)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range e.app.pages() {
		req, err := http.NewRequestWithContext(e.tb.Context(), method, path, nil)
		if err != nil {
			return fmt.Errorf("%q is not a path", path)
		}
		visitor := &Browser{env: e, misplaces: true}
		a, err := visitor.send(req, func(req *http.Request) { change(req, token) })
		if err != nil {
			return err
		}
		if user := e.user(a); user != nobody {
			errs = append(errs, e.judge(k, fmt.Errorf("%s logs in as user %d with an identifier in %s", a.to, user, where)))
		}
		if visitor.token() == token {
			errs = append(errs, fmt.Errorf("%s sets the cookie %q to an identifier that came in %s", a.to, e.name, where))
		}
	}
	return errors.Join(errs...)
}

func inURL(e *env) error {
	err := e.elsewhere(failure, http.MethodGet, "the query of a URL", func(req *http.Request, token string) {
		query := req.URL.Query()
		for _, name := range e.names() {
			query.Set(name, token)
		}
		req.URL.RawQuery = query.Encode()
	})
	if err != nil {
		return err
	}
	return e.elsewhere(failure, http.MethodGet, "the path of a URL", func(req *http.Request, token string) {
		req.URL.Path += ";" + e.name + "=" + token
	})
}

func inForm(e *env) error {
	return e.elsewhere(failure, http.MethodPost, "a form", func(req *http.Request, token string) {
		form := url.Values{}
		for _, name := range e.names() {
			form.Set(name, token)
		}
		body := form.Encode()
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
}

func inHeader(e *env) error {
	return e.elsewhere(hardening, http.MethodGet, "a header that is not Cookie", func(req *http.Request, token string) {
		for _, name := range e.names() {
			req.Header.Set(name, token)
			req.Header.Set("X-"+name, token)
		}
		for _, name := range []string{"X-Session-Id", "X-Session-Token", "X-Auth-Token", "X-Api-Key", "Set-Cookie"} {
			req.Header.Set(name, token)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	})
}

// secret returns the secret part of an identifier. In package session the part before the dot
// is a public handle.
func secret(token string) string {
	if _, rest, dotted := strings.Cut(token, "."); dotted && len(rest) >= leakSize {
		return rest
	}
	return token
}

// bits returns how many random bits the tokens can hold at most. It counts the positions at
// which they differ, and the size of the alphabet there.
func bits(tokens []string) float64 {
	var kinds [4]bool // digits, small and capital letters, the rest
	hex, varying := true, 0
	longest := slices.MaxFunc(tokens, func(a, b string) int { return len(a) - len(b) })
	for i := range len(longest) {
		same := true
		for _, t := range tokens {
			same = same && i < len(t) && t[i] == longest[i]
		}
		if same {
			continue
		}
		varying++
		for _, t := range tokens {
			if i < len(t) {
				kinds[class(t[i])] = true
				hex = hex && strings.IndexByte("0123456789abcdefABCDEF", t[i]) >= 0
			}
		}
	}
	letters := 26
	if hex {
		letters = 6
	}
	alphabet := 0
	for kind, size := range [...]int{10, letters, letters, 2} {
		if kinds[kind] {
			alphabet += size
		}
	}
	if alphabet == 0 {
		return 0
	}
	return float64(varying) * math.Log2(float64(alphabet))
}
