package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// A visitor is a browser without a window: it keeps cookies and follows
// redirects.
type visitor struct {
	t      *testing.T
	site   *httptest.Server
	client *http.Client
	header http.Header // of every request
	csrf   atomic.Pointer[string]
}

// A response is what a visitor got in the end, with what came on the way there.
type response struct {
	status int
	header http.Header
	body   string
}

// managerOf is the Manager of the shop with a store of the test's own.
func managerOf(store session.Store, https bool) *session.Manager {
	return equip(&session.Manager{Store: store, Propagator: &cookie.Propagator{Insecure: !https}})
}

// open opens the shop over plain http.
func open(t *testing.T, store session.Store) *httptest.Server {
	t.Helper()
	site := httptest.NewServer(newHandler(managerOf(store, false)))
	t.Cleanup(site.Close)
	return site
}

// visit is a new visitor of a site.
func visit(t *testing.T, site *httptest.Server) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{}}
	if known := site.Client(); known != nil {
		client.Transport = known.Transport
	}
	t.Cleanup(client.CloseIdleConnections)
	return &visitor{t: t, site: site, client: client, header: http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}}
}

func (v *visitor) get(path string) response {
	v.t.Helper()
	return v.send(http.MethodGet, path, nil)
}

// post sends a form of names and values, with the token of the last form that the
// visitor has seen.
func (v *visitor) post(path string, fields ...string) response {
	v.t.Helper()
	return v.send(http.MethodPost, path, strings.NewReader(v.form(fields...)))
}

func (v *visitor) form(fields ...string) string {
	form := url.Values{}
	if csrf := v.csrf.Load(); csrf != nil {
		form.Set(session.CSRFField, *csrf)
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form.Encode()
}

func (v *visitor) send(method, path string, body io.Reader) response {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.site.URL+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header = v.header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	got := response{res.StatusCode, res.Header, string(page)}
	if csrf := got.csrf(); csrf != "" {
		v.csrf.Store(&csrf)
	}
	return got
}

// login logs in and returns the home page.
func (v *visitor) login(name, password string) response {
	v.t.Helper()
	home := v.post("/login", "user", name, "password", password)
	if home.status != http.StatusOK || home.element("user") != name {
		v.t.Fatalf("login of %s: got status %d, user %q", name, home.status, home.element("user"))
	}
	return home
}

// cookie is the one cookie that the visitor has for the site.
func (v *visitor) cookie() string {
	v.t.Helper()
	cookies := v.client.Jar.Cookies(v.url())
	if len(cookies) != 1 {
		v.t.Fatalf("got %d cookies, want 1", len(cookies))
	}
	return cookies[0].Value
}

// thief is a new visitor who carries a cookie that this one had.
func (v *visitor) thief(value string) *visitor {
	v.t.Helper()
	thief := visit(v.t, v.site)
	thief.client.Jar.SetCookies(v.url(), []*http.Cookie{{Name: "session", Value: value}})
	return thief
}

func (v *visitor) url() *url.URL {
	v.t.Helper()
	u, err := url.Parse(v.site.URL)
	if err != nil {
		v.t.Fatal(err)
	}
	return u
}

// element is the text of the element of an id, spaces cut; empty where there is
// none.
func (r response) element(id string) string {
	found := regexp.MustCompile(`(?s)<(\w+)[^>]* id="` + id + `"[^>]*>(.*?)</`).FindStringSubmatch(r.body)
	if found == nil {
		return ""
	}
	return strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(found[2], "")), " ")
}

// csrf is the token of the first form of a page.
func (r response) csrf() string {
	found := regexp.MustCompile(`name="csrf_token" value="([\w-]+)"`).FindStringSubmatch(r.body)
	if found == nil {
		return ""
	}
	return found[1]
}

// cart is what the home page says of the cart.
func (r response) cart() string {
	_, list, _ := strings.Cut(r.body, `<ul id="cart">`)
	list, _, _ = strings.Cut(list, "</ul>")
	return strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(list, "")), " ")
}

// wantStranger fails the test unless the home page is the login form.
func wantStranger(t *testing.T, home response) {
	t.Helper()
	wantNothingPrivate(t, home, `action="/login"`)
}

// wantLink fails the test unless another page is the one with a link to the login form.
func wantLink(t *testing.T, page response) {
	t.Helper()
	wantNothingPrivate(t, page, `href="/login"`)
}

func wantNothingPrivate(t *testing.T, page response, login string) {
	t.Helper()
	if page.status != http.StatusUnauthorized || !strings.Contains(page.body, login) {
		t.Errorf("got status %d, want 401 and a page with %s", page.status, login)
	}
	for _, private := range []string{`id="user"`, `id="visits"`, `id="session"`} {
		if strings.Contains(page.body, private) {
			t.Errorf("page for nobody has %s", private)
		}
	}
}
