// Package peers_test measures this module beside other session packages at the same work:
// the requests of a small site, without a network.
package peers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dormoron/mist"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"

	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/internal/webtest"
)

func TestMain(m *testing.M) { os.Exit(sqltest.Main(m)) }

// The pages of a site.
const (
	start  = "/start"  // begins an anonymous session with the values of guest
	none   = "/none"   // looks for a session where there is none
	read   = "/read"   // reads the value "user"
	write  = "/write"  // reads the value "user" and stores another number of visits
	login  = "/login"  // a new id and the values of ada
	logout = "/logout" // ends the session
	slow   = "/slow"   // reads "user", closes peer.slow, waits for peer.goOn and stores another theme
	show   = "/show/"  // and a key: notes the value in peer.shown
)

// visits is the number in a new session.
const visits = 42

func guest() map[string]any {
	return map[string]any{"user": "guest", "theme": "dark", "visits": visits}
}

func ada() map[string]any { return map[string]any{"user": "ada", "theme": "light", "visits": visits} }

// A library does the work of the handlers of a site. C is what its framework gives to a handler.
type library[C any] struct {
	start  func(c C, values map[string]any) error
	read   func(c C, key string) (any, error) // nil where there is no session
	write  func(c C, key string, v any) error // reads "user", too
	login  func(c C, values map[string]any) error
	logout func(c C) error
}

// A peer is a library with a store, in a site of its framework.
type peer struct {
	name    string
	browser func() browser // a new one, without a cookie
	bare    func() browser // the same, for a site whose handlers do nothing
	closers []func() error

	writes atomic.Int64 // the visits that were written last
	failed atomic.Pointer[error]
	shown  any // the value that show read last

	slow, goOn chan struct{}
}

// A browser sends requests to one site. It is for one goroutine.
type browser interface {
	visit(page string)
	answer() []string // the Set-Cookie lines of the last response
	carry(cookie string)
}

// keep puts the cookie of the last response into the next requests of a browser, as name=value,
// or removes it. It returns the cookie. Of several lines the last one counts.
func keep(b browser) string {
	carried := ""
	for _, line := range b.answer() {
		carried = ""
		if c, err := http.ParseSetCookie(line); err == nil && c.Value != "" {
			carried = c.Name + "=" + c.Value
		}
	}
	if len(b.answer()) > 0 {
		b.carry(carried)
	}
	return carried
}

func (p *peer) close(tb testing.TB) {
	tb.Helper()
	for _, end := range p.closers {
		must(tb, end())
	}
}

// err returns the first error of a handler.
func (p *peer) err() error {
	if e := p.failed.Load(); e != nil {
		return fmt.Errorf("%s: %w", p.name, *e)
	}
	return nil
}

// pages returns the handlers of a site. p.err returns their errors, wrong values included.
func pages[C any](p *peer, l library[C]) map[string]func(c C) {
	guests, adas := guest(), ada()
	report := func(err error) {
		if err != nil {
			p.failed.CompareAndSwap(nil, &err)
		}
	}
	expect := func(want any) func(c C) {
		return func(c C) {
			if got, err := l.read(c, "user"); err != nil {
				report(err)
			} else if got != want {
				report(fmt.Errorf("read %v, want %v", got, want))
			}
		}
	}
	all := map[string]func(c C){
		start:  func(c C) { report(l.start(c, guests)) },
		none:   expect(nil),
		read:   expect(adas["user"]),
		write:  func(c C) { report(l.write(c, "visits", int(p.writes.Add(1)))) },
		login:  func(c C) { report(l.login(c, adas)) },
		logout: func(c C) { report(l.logout(c)) },
		slow: func(c C) {
			_, err := l.read(c, "user")
			report(err)
			close(p.slow)
			<-p.goOn
			_ = l.write(c, "theme", "slow") // fails if the session has ended meanwhile
		},
	}
	for key := range adas {
		all[show+key] = func(c C) {
			var err error
			p.shown, err = l.read(c, key)
			report(err)
		}
	}
	return all
}

// agent is sent by all browsers, as some libraries keep it.
const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

// A call is what net/http gives to a handler.
type call struct {
	w http.ResponseWriter
	r *http.Request
}

// onNetHTTP puts a library into a mux, with its middleware around the mux.
func onNetHTTP(p *peer, l library[call], middleware func(http.Handler) http.Handler) *peer {
	site, empty := http.NewServeMux(), http.NewServeMux()
	for page, handle := range pages(p, l) {
		site.HandleFunc(page, func(w http.ResponseWriter, r *http.Request) { handle(call{w, r}) })
		empty.HandleFunc(page, func(http.ResponseWriter, *http.Request) {})
	}
	p.browser, p.bare = netBrowsers(middleware(site)), netBrowsers(empty)
	return p
}

// onMist puts a library into a mist server.
func onMist(p *peer, l library[*mist.Context], middleware ...mist.Middleware) *peer {
	site, empty := mist.InitHTTPServer(), mist.InitHTTPServer()
	site.Use(middleware...)
	for page, handle := range pages(p, l) {
		site.GET(page, func(c *mist.Context) { handle(c) })
		closing(p, func() error {
			handle = nil // a goroutine of mist's keeps the server for ever
			return nil
		})
		empty.GET(page, func(*mist.Context) {})
	}
	p.browser, p.bare = netBrowsers(site), netBrowsers(empty)
	return p
}

type netBrowser struct {
	site   http.Handler
	w      webtest.DiscardWriter
	header http.Header
}

func netBrowsers(site http.Handler) func() browser {
	return func() browser {
		return &netBrowser{site, webtest.DiscardWriter{}, http.Header{"User-Agent": {agent}}}
	}
}

func (b *netBrowser) visit(page string) {
	clear(b.w)
	b.site.ServeHTTP(b.w, &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: page}, Host: "example.com", RemoteAddr: "192.0.2.1:1234", Header: b.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	})
}

func (b *netBrowser) answer() []string { return b.w["Set-Cookie"] }

func (b *netBrowser) carry(cookie string) {
	delete(b.header, "Cookie")
	if cookie != "" {
		b.header["Cookie"] = []string{cookie}
	}
}

// onFiber puts a library into an app of fiber. Its browsers call the app's handler directly, as
// fasthttp does.
func onFiber(p *peer, l library[fiber.Ctx], middleware fiber.Handler) *peer {
	site, empty := fiber.New(), fiber.New()
	site.Use(middleware)
	for page, handle := range pages(p, l) {
		site.Get(page, func(c fiber.Ctx) error {
			handle(c)
			return nil
		})
		empty.Get(page, func(fiber.Ctx) error { return nil })
	}
	p.browser, p.bare = fastBrowsers(site.Handler(), true), fastBrowsers(empty.Handler(), false)
	return p
}

type fastBrowser struct {
	site    fasthttp.RequestHandler
	ctx     *fasthttp.RequestCtx
	cookie  string
	cookies bool // whether anybody reads the cookie
}

func fastBrowsers(site fasthttp.RequestHandler, cookies bool) func() browser {
	return func() browser {
		ctx := &fasthttp.RequestCtx{}
		ctx.Request.Header.Set("User-Agent", agent)
		return &fastBrowser{site: site, ctx: ctx, cookies: cookies}
	}
}

// visit lets the site read the cookie anew: fasthttp parses it at the first use.
func (b *fastBrowser) visit(page string) {
	b.ctx.ResetUserValues()
	b.ctx.Response.Reset()
	b.ctx.Request.SetRequestURI(page)
	if b.cookies && b.cookie != "" {
		b.ctx.Request.Header.DelAllCookies()
		b.ctx.Request.Header.Set("Cookie", b.cookie)
	}
	b.site(b.ctx)
}

func (b *fastBrowser) answer() []string {
	var lines []string
	for _, line := range b.ctx.Response.Header.Cookies() {
		lines = append(lines, string(line))
	}
	return lines
}

func (b *fastBrowser) carry(cookie string) {
	b.cookie = strings.Clone(cookie)
	b.ctx.Request.Header.DelAllCookies()
}
