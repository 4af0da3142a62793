package sessionaudit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A Browser is a client with its own cookies.
type Browser struct {
	env *env
	jar jar
	err error // the first error of Get

	misplaces bool // it sends identifiers outside the cookie, which pages may echo
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
	to     string // method and path of the request, without additions of the audit
	status int
	header http.Header
	body   string

	echoes bool // an identifier in it may be an echo of the request
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

// issued returns the values of the session's cookie that the answer sets.
func (e *env) issued(a answer) []string {
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

// A change changes a request before it is sent.
type change func(req *http.Request)

// send sends req as a browser would from a page of the site, and keeps the cookies of the
// answer.
func (b *Browser) send(req *http.Request, changes ...change) (answer, error) {
	to := req.Method + " " + req.URL.Path
	req, err := b.prepare(req)
	if err != nil {
		return answer{}, err
	}
	u := *req.URL
	for _, change := range changes {
		change(req)
	}
	a, err := b.env.roundTrip(to, req, b.misplaces)
	b.jar.set(&u, a.header["Set-Cookie"])
	return a, err
}

// prepare returns a copy of the application's request, with the site's address and a
// browser's header.
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
	sent, err := http.NewRequestWithContext(b.env.tb.Context(), req.Method, target, bytes.NewReader(body)) //nolint:gosec // G704: the transport connects to the test server only
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

// follow sends req and follows redirects within the site.
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

// token returns the value of the session's cookie that the browser sends to Private.
func (b *Browser) token() string {
	for _, k := range b.jar.cookies(b.env.private) {
		if k.name == b.env.name {
			return k.value
		}
	}
	return ""
}

// plant sets the cookie of the session to a value that an attacker chose.
func (b *Browser) plant(value string) {
	k := b.env.template
	k.value = value
	b.jar.mu.Lock()
	defer b.jar.mu.Unlock()
	b.jar.stored = append(b.jar.stored, k)
}

var errNoAnswer = errors.New("no answer: the handler panicked or took longer than a minute")

// roundTrip sends a request and records the answer. Its errors do not quote the request,
// which may contain an identifier.
func (e *env) roundTrip(to string, req *http.Request, echoes bool) (answer, error) {
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	resp, err := e.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", to, errNoAnswer)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", to, errNoAnswer)
	}
	a := answer{to: to, status: resp.StatusCode, header: resp.Header, body: string(body), echoes: echoes}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, a)
	return a, nil
}

const maxBody = 8 << 20

// withCookies replaces the Cookie headers of a request.
func withCookies(lines ...string) change {
	return func(req *http.Request) { req.Header["Cookie"] = lines }
}
