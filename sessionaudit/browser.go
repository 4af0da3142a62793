package sessionaudit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A Browser is a client with cookies of its own.
type Browser struct {
	env *env
	jar jar
	err error // the first that Get met

	prompting bool // it sends identifiers where none belong
}

// Get fetches a page and returns its body, for an [App] whose login or logout
// needs something that a page shows, such as the token of a form.
func (b *Browser) Get(path string) string {
	a, err := b.get(path)
	if err != nil && b.err == nil {
		b.err = err
	}
	return a.body
}

// An answer is what came back for one request.
type answer struct {
	to     string // the request: method and path, without anything that the audit added
	status int
	header http.Header
	body   string

	prompted bool // what it shows of an identifier may be an echo of the request
}

// cookies returns the cookies of a name that the answer sets or deletes.
func (a answer) cookies(name string) []*http.Cookie {
	var all []*http.Cookie
	for _, line := range a.header["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == name {
			all = append(all, c)
		}
	}
	return all
}

// gives returns the values of the cookie that the answer sets, not deletes.
func (e *env) gives(a answer) []string {
	var values []string
	for _, c := range a.cookies(e.name) {
		if !deletes(c) {
			values = append(values, raw(c))
		}
	}
	return values
}

func (b *Browser) get(path string) (answer, error) {
	req, err := http.NewRequestWithContext(b.env.tb.Context(), http.MethodGet, path, nil)
	if err != nil {
		return answer{}, fmt.Errorf("%q is not a path", path)
	}
	return b.send(req)
}

// A change is what an attack makes of a request.
type change func(req *http.Request)

// send sends req as a browser does from a page of the site, and keeps the cookies
// of the answer.
func (b *Browser) send(req *http.Request, changes ...change) (answer, error) {
	if b.err != nil {
		return answer{}, b.err
	}
	to := req.Method + " " + req.URL.Path
	req, err := b.prepare(req)
	if err != nil {
		return answer{}, err
	}
	u := *req.URL
	for _, change := range changes {
		change(req)
	}
	a, err := b.env.roundTrip(to, req, b.prompting)
	b.jar.set(&u, a.header["Set-Cookie"])
	return a, err
}

// prepare returns a copy of a request of the application, for this site.
func (b *Browser) prepare(req *http.Request) (*http.Request, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, fmt.Errorf("the body of %s %s: %w", req.Method, req.URL.Path, err)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	target := b.env.base + req.URL.RequestURI()
	sent, err := http.NewRequestWithContext(b.env.tb.Context(), req.Method, target, bytes.NewReader(body)) //nolint:gosec // G704: it goes to our own server, wherever it points
	if err != nil {
		return nil, fmt.Errorf("%s %s is not a request to the site", req.Method, req.URL.Path)
	}
	sent.Header = req.Header.Clone()
	if sent.Header == nil {
		sent.Header = http.Header{}
	}
	usual := map[string]string{
		"User-Agent": "Mozilla/5.0 (sessionaudit)", "Accept": "text/html,*/*;q=0.8",
		"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
		"Referer": b.env.base + "/",
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		usual["Origin"] = b.env.base
	}
	for name, value := range usual {
		if sent.Header.Get(name) == "" {
			sent.Header.Set(name, value)
		}
	}
	if cookies := header(b.jar.cookies(sent.URL)); cookies != "" {
		sent.Header["Cookie"] = append(sent.Header["Cookie"], cookies)
	}
	return sent, nil
}

// follow sends req, and goes on where the site redirects to, as a browser does.
func (b *Browser) follow(req *http.Request) ([]answer, error) {
	first := req.Method + " " + req.URL.Path
	a, err := b.send(req)
	all := []answer{a}
	at := req.URL
	for range 10 {
		if err != nil || a.status < 300 || a.status > 303 {
			break
		}
		to, bad := at.Parse(a.header.Get("Location"))
		if bad != nil || to.Host != "" && to.Host != b.env.url.Host {
			break
		}
		next := &http.Request{Method: http.MethodGet, URL: to}
		if a, err = b.send(next); err == nil {
			a.to = "the page behind " + first
			all = append(all, a)
		}
		at = to
	}
	return all, err
}

// token is the value of the session's cookie that the browser sends to Private.
func (b *Browser) token() string {
	for _, k := range b.jar.cookies(b.env.private) {
		if k.name == b.env.name {
			return k.value
		}
	}
	return ""
}

// plant puts a value into the cookie of the session, as an attacker does.
func (b *Browser) plant(value string) {
	k := b.env.specimen
	k.value = value
	b.jar.mu.Lock()
	defer b.jar.mu.Unlock()
	b.jar.kept = append(b.jar.kept, k)
}

var errNoAnswer = errors.New("no answer: the handler panicked, or it takes too long")

// roundTrip sends a request and notes what came back. Its errors do not quote
// what was sent: there may be an identifier in it.
func (e *env) roundTrip(to string, req *http.Request, prompted bool) (answer, error) {
	resp, err := e.client.Do(req)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return answer{}, context.Canceled
		}
		return answer{}, fmt.Errorf("%s: %w", to, errNoAnswer)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", to, errNoAnswer)
	}
	a := answer{to: to, status: resp.StatusCode, header: resp.Header, body: string(body), prompted: prompted}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, a)
	return a, nil
}

const maxBody = 8 << 20

// carrying makes a request carry these lines of cookies, and no others.
func carrying(lines ...string) change {
	return func(req *http.Request) { req.Header["Cookie"] = lines }
}
