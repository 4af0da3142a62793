package sessionaudit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	megabyte  = 1 << 20
	maxHeader = 8 * megabyte // of the server, so that oversize cookies reach the handler
	patience  = time.Minute
)

// An env is a site under attack.
type env struct {
	tb        testing.TB
	app       App
	transport *http.Transport
	base      string   // "https://example.com"
	url       *url.URL // the same
	private   *url.URL
	name      string // of the session's cookie
	large     int    // bytes of an oversize cookie

	template storedCookie // the session's cookie, with its attributes
	samples  [2]string    // identifiers that were issued and have ended
	live     []*Browser
	remarks  []error // the hardening that the running check found

	mu     sync.Mutex // guards the fields below
	seen   []answer
	logins []string // the identifiers of all logins
}

// newEnv serves the handler, and learns how the site uses its cookie.
func newEnv(tb testing.TB, handler http.Handler, app App) (*env, error) {
	tb.Helper()
	if handler == nil {
		return nil, errors.New("the handler is nil")
	}
	if err := app.check(); err != nil {
		return nil, fmt.Errorf("App is incomplete:\n%w", err)
	}
	if app.Host == "" {
		app.Host = defaultHost
	}
	e := &env{tb: tb, app: app, name: app.Cookie, large: megabyte}
	if err := e.serve(handler); err != nil {
		return nil, err
	}
	return e, e.explore()
}

// serve starts the server, and makes a transport that sends all requests to it.
func (e *env) serve(handler http.Handler) (err error) {
	server := httptest.NewUnstartedServer(handler)
	server.Config.MaxHeaderBytes = maxHeader
	server.Config.ErrorLog = log.New(panics{}, "", 0)
	transport := &http.Transport{MaxIdleConnsPerHost: concurrentRequests}
	scheme := "http://"
	if e.app.Insecure {
		server.Start()
	} else {
		server.StartTLS()
		scheme = "https://"
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		transport.TLSClientConfig = &tls.Config{
			RootCAs: roots, ServerName: defaultHost, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0),
		}
	}
	address := server.Listener.Addr().String()
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	e.tb.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	e.transport = transport
	e.base = scheme + e.app.Host
	if e.url, err = url.Parse(e.base); err != nil {
		return errors.New("App.Host is not a host name")
	}
	if e.private, err = url.Parse(e.base + e.app.Private); err != nil {
		return errors.New("App.Private is not a path")
	}
	return nil
}

// panics is the log of the server, without the TLS errors of clients that gave up.
type panics struct{}

func (panics) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("TLS handshake error")) {
		return len(p), nil
	}
	return os.Stderr.Write(p)
}

// explore visits the site as a stranger and as both users, and finds the session's cookie.
func (e *env) explore() error {
	a, err := e.browser().get(e.app.Private)
	if err != nil {
		return err
	}
	if user := e.user(a); user != nobody {
		return fmt.Errorf("App.Private: strangers see the Marker of user %d on %s: name a page that only users see, and a text that only this page shows", user, e.app.Private)
	}
	first := e.browser()
	if err := e.logIn(first, 0); err != nil {
		return err
	}
	if err := e.findCookie(first); err != nil {
		return err
	}
	second := e.browser()
	if _, err := e.login(second, 1); err != nil {
		return err
	}
	e.samples = [2]string{first.token(), second.token()}
	e.logins = append(e.logins, e.samples[0])
	if e.samples[0] == e.samples[1] {
		return fmt.Errorf("App.Cookie: the cookie %q has the same value for both users, so it cannot be the session's", e.name)
	}
	e.retire()
	return nil
}

// findCookie finds the session's cookie in a browser of a logged-in user.
func (e *env) findCookie(b *Browser) error {
	all := b.jar.cookies(e.private)
	var needed []storedCookie
	for i, k := range all {
		others := append(append([]storedCookie{}, all[:i]...), all[i+1:]...)
		user, err := e.userOf(header(others))
		if err != nil {
			return err
		}
		if e.name == k.name || e.name == "" && user == nobody {
			needed = append(needed, k)
		}
	}
	if len(needed) != 1 {
		return fmt.Errorf("App.Cookie: user 0 has %d cookies, and the login needs %d of them; name the cookie of the session", len(all), len(needed))
	}
	e.name, e.template = needed[0].name, needed[0]
	user, err := e.opens(e.template.value)
	if err == nil && user != 0 {
		err = fmt.Errorf("the cookie %q alone is not enough to be logged in; sessions in several cookies cannot be audited", e.name)
	}
	return err
}

func (e *env) browser() *Browser {
	b := &Browser{env: e}
	e.live = append(e.live, b)
	return b
}

// retire logs out and forgets all browsers.
func (e *env) retire() {
	for _, b := range e.live {
		b.err = nil
		if b.token() != "" {
			if req := e.app.Logout(b); req != nil {
				_, _ = b.follow(req)
			}
		}
	}
	e.live = nil
}

// nobody is the user of strangers.
const nobody = -1

// user returns the user whose Marker is on a page.
func (e *env) user(a answer) int {
	for user := range 2 {
		if e.shows(a, user) {
			return user
		}
	}
	return nobody
}

func (e *env) shows(a answer, user int) bool {
	return strings.Contains(a.body, e.app.Marker(user))
}

// ask gets a page with a new browser.
func (e *env) ask(path string, changes ...change) (answer, error) {
	req, err := http.NewRequestWithContext(e.tb.Context(), http.MethodGet, path, nil)
	if err != nil {
		return answer{}, fmt.Errorf("%q is not a path", path)
	}
	return (&Browser{env: e}).send(req, changes...)
}

// userOf returns the user that Private shows for a Cookie header.
func (e *env) userOf(line string) (int, error) {
	a, err := e.ask(e.app.Private, withCookies(line))
	if err != nil {
		return nobody, err
	}
	return e.user(a), nil
}

// opens returns the user that an identifier logs in.
func (e *env) opens(token string) (int, error) {
	return e.userOf(e.name + "=" + token)
}

// login logs a user in and returns the new identifier.
func (e *env) login(b *Browser, user int) (string, error) {
	before := b.token()
	if err := e.logIn(b, user); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	token := b.token()
	if token != before {
		e.logins = append(e.logins, token)
	}
	return token, nil
}

func (e *env) logIn(b *Browser, user int) error {
	req := e.app.Login(b, user)
	if b.err != nil || req == nil {
		return errors.Join(b.err, fmt.Errorf("App.Login made no request for user %d", user))
	}
	answers, err := b.follow(req)
	if err != nil {
		return err
	}
	a, err := b.get(e.app.Private)
	if err != nil {
		return err
	}
	if got := e.user(a); got != user {
		why := []string{fmt.Sprintf("App.Login does not log user %d in: %s was answered %d, and then %s was answered %d without the user's Marker",
			user, answers[0].to, answers[0].status, e.app.Private, a.status)}
		for _, refused := range b.jar.refused {
			why = append(why, "browsers refuse the cookie "+refused)
		}
		return errors.New(strings.Join(why, "\n"))
	}
	return nil
}

// logout logs out the user of b.
func (e *env) logout(b *Browser) ([]answer, error) {
	req := e.app.Logout(b)
	if b.err != nil || req == nil {
		return nil, errors.Join(b.err, errors.New("App.Logout made no request"))
	}
	return b.follow(req)
}

// forged returns an identifier that looks like the site's but was never issued. Each
// character comes from one of two real identifiers.
func (e *env) forged() string {
	a, b := e.samples[0], e.samples[1]
	v := []byte(a)
	for range 100 {
		random := rand.Text() + rand.Text() + rand.Text() + rand.Text()
		for i := range min(len(a), len(b)) {
			if random[i%len(random)]&1 != 0 {
				v[i] = b[i]
			} else {
				v[i] = a[i]
			}
		}
		if s := string(v); s != a && s != b {
			return s
		}
	}
	for i := range v { // the two differ too little
		v[i] = another(v[i])
	}
	return string(v)
}

// another returns a different character that is valid wherever c is: in digits, hexadecimal,
// base32 or base64. It differs from c in more than its case.
func another(c byte) byte {
	to := [...]string{"27", "be", "BE", "be"}[class(c)]
	if c == to[0] {
		return to[1]
	}
	return to[0]
}

// class returns the class of a character: digit, lower case, upper case or other.
func class(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return 0
	case 'a' <= c && c <= 'z':
		return 1
	case 'A' <= c && c <= 'Z':
		return 2
	}
	return 3
}
