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
	maxHeader = 8 * megabyte // of the server, so that the handler meets what is oversize
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
	large     int    // bytes of a cookie that is too large

	specimen kept      // the cookie of the session, as a browser keeps it
	samples  [2]string // identifiers that were issued, and are dead
	live     []*Browser
	remarks  []error // the hardening that the running check found

	mu     sync.Mutex // guards what follows
	seen   []answer
	logins []string // identifiers that logins gave
}

// newEnv serves the handler, and finds out what App does not say.
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
	return e, e.meet()
}

// serve starts the server, and a client to which app.Host is that server.
func (e *env) serve(handler http.Handler) (err error) {
	server := httptest.NewUnstartedServer(handler)
	server.Config.MaxHeaderBytes = maxHeader
	server.Config.ErrorLog = log.New(panics{}, "", 0)
	transport := &http.Transport{MaxIdleConnsPerHost: crowd}
	scheme := "http://"
	if e.app.Insecure {
		server.Start()
	} else {
		server.StartTLS()
		scheme = "https://"
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: defaultHost, MinVersion: tls.VersionTLS12}
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
		return errors.New("App.Host is not the name of a host")
	}
	if e.private, err = url.Parse(e.base + e.app.Private); err != nil {
		return errors.New("App.Private is not a path")
	}
	return nil
}

// panics is a log of what net/http says of the handler, without the connections
// that clients gave up.
type panics struct{}

func (panics) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("TLS handshake error")) {
		return len(p), nil
	}
	return os.Stderr.Write(p)
}

// meet visits the site as a stranger and as both users, and learns what their
// cookie looks like.
func (e *env) meet() error {
	a, err := e.browser().get(e.app.Private)
	if err != nil {
		return err
	}
	if user := e.user(a); user != nobody {
		return fmt.Errorf("App.Private: strangers see the Marker of user %d on %s: name a page that only users see, and a text that is on no other", user, e.app.Private)
	}
	first := e.browser()
	if err := e.enter(first, 0); err != nil {
		return err
	}
	if err := e.learn(first); err != nil {
		return err
	}
	second := e.browser()
	if _, err := e.login(second, 1); err != nil {
		return err
	}
	e.samples = [2]string{first.token(), second.token()}
	e.logins = append(e.logins, e.samples[0])
	if e.samples[0] == e.samples[1] {
		return fmt.Errorf("both users have the same value in the cookie %q, so it is not what tells them apart: App.Cookie", e.name)
	}
	e.retire()
	return nil
}

// learn finds the cookie of the session among those of b, who is logged in.
func (e *env) learn(b *Browser) error {
	all := b.jar.cookies(e.private)
	var needed []kept
	for i, k := range all {
		others := append(append([]kept{}, all[:i]...), all[i+1:]...)
		user, err := e.carrier(header(others))
		if err != nil {
			return err
		}
		if e.name == k.name || e.name == "" && user == nobody {
			needed = append(needed, k)
		}
	}
	if len(needed) != 1 {
		return fmt.Errorf("App.Cookie: user 0 has %d cookies, and of these %d are needed to be logged in; name the one that carries the session", len(all), len(needed))
	}
	e.name, e.specimen = needed[0].name, needed[0]
	user, err := e.opens(e.specimen.value)
	if err == nil && user != 0 {
		err = fmt.Errorf("the cookie %q alone logs nobody in; sessions of several cookies cannot be audited", e.name)
	}
	return err
}

// browser returns a new one.
func (e *env) browser() *Browser {
	b := &Browser{env: e}
	e.live = append(e.live, b)
	return b
}

// retire logs out whoever is logged in.
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

// nobody is the user that strangers are.
const nobody = -1

// user returns whom a page is for.
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

// ask returns a page for somebody who has no cookies but what a change gives them.
func (e *env) ask(path string, changes ...change) (answer, error) {
	req, err := http.NewRequestWithContext(e.tb.Context(), http.MethodGet, path, nil)
	if err != nil {
		return answer{}, fmt.Errorf("%q is not a path", path)
	}
	return (&Browser{env: e}).send(req, changes...)
}

// carrier returns whom Private takes somebody for who sends a line of cookies.
func (e *env) carrier(line string) (int, error) {
	a, err := e.ask(e.app.Private, carrying(line))
	if err != nil {
		return nobody, err
	}
	return e.user(a), nil
}

// opens returns whom an identifier logs in as.
func (e *env) opens(token string) (int, error) {
	return e.carrier(e.name + "=" + token)
}

// login logs a user in, and returns their identifier.
func (e *env) login(b *Browser, user int) (string, error) {
	before := b.token()
	if err := e.enter(b, user); err != nil {
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

// enter logs a user in.
func (e *env) enter(b *Browser, user int) error {
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
		why := []string{fmt.Sprintf("nobody is logged in by App.Login: %s was answered %d, and %s then %d without the Marker of user %d",
			answers[0].to, answers[0].status, e.app.Private, a.status, user)}
		for _, refused := range b.jar.refused {
			why = append(why, "browsers refuse the cookie "+refused)
		}
		return errors.New(strings.Join(why, "\n"))
	}
	return nil
}

// logout logs out whoever is logged in in b.
func (e *env) logout(b *Browser) ([]answer, error) {
	req := e.app.Logout(b)
	if b.err != nil || req == nil {
		return nil, errors.Join(b.err, errors.New("App.Logout made no request"))
	}
	return b.follow(req)
}

// forged returns an identifier in the shape of those that the site issues, which
// it never issued: each character is from one or the other of two.
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
	for i := range v { // they hardly differ
		v[i] = another(v[i])
	}
	return string(v)
}

// another returns a character that is fit for what c is fit for, be it digits,
// hexadecimal, base32 or base64, and differs not just in its case.
func another(c byte) byte {
	to := [...]string{"27", "be", "BE", "be"}[class(c)]
	if c == to[0] {
		return to[1]
	}
	return to[0]
}

// class tells digits, small and capital letters and the rest apart.
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
