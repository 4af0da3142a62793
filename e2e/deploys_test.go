package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// A deployment is a site whose cookie changes its attributes from one deploy to the
// next. The store stays.
type deployment struct {
	store   memory.Store
	current atomic.Pointer[mist.HTTPServer]
	doubled atomic.Int64 // events of requests with two cookies
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.current.Load().ServeHTTP(w, r)
}

// deploy replaces the site by one with these attributes of the cookie.
func (d *deployment) deploy(is cookie.Former, former ...cookie.Former) {
	m := &session.Manager{
		Store:      &d.store,
		Propagator: &cookie.Propagator{Insecure: true, Path: is.Path, Domain: is.Domain, Former: former},
		OnEvent: func(_ context.Context, e session.Event) {
			if e.Kind == session.EventDuplicate {
				d.doubled.Add(1)
			}
		},
	}
	show := func(ctx *mist.Context, err error) {
		user := ""
		if err == nil {
			user, err = m.User(ctx)
		}
		switch {
		case errors.Is(err, session.ErrMultiple):
			user = "two cookies"
		case errors.Is(err, session.ErrNotFound):
			user = "nobody"
		case err != nil:
			user = "error: " + err.Error()
		}
		ctx.ResponseWriter.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(ctx.ResponseWriter, `<!doctype html><link rel="icon" href="data:,"><h1>%s</h1>
			<form method="post" action="/app/login"><button name="user" value="ada">Ada</button> <button name="user" value="grace">Grace</button></form>
			<form method="post" action="/app/logout"><button id="out">Log out</button></form>`, user)
	}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware())
	server.GET("/app/", func(ctx *mist.Context) { show(ctx, nil) })
	server.POST("/app/login", func(ctx *mist.Context) {
		_, err := m.Login(ctx, ctx.Request.PostFormValue("user"))
		show(ctx, err)
	})
	server.POST("/app/logout", func(ctx *mist.Context) { show(ctx, m.RemoveSession(ctx)) })
	d.current.Store(server)
}

// TestDeploys: a deploy changes Path or Domain of the cookie and names the former ones.
// No visitor has to clear their browser.
func TestDeploys(t *testing.T) {
	t.Parallel()
	const (
		host   = "shop.localhost"
		ada    = "[value=ada]"
		grace  = "[value=grace]"
		logout = "#out"
	)
	for name, c := range map[string]struct{ before, now cookie.Former }{
		"a path before":   {cookie.Former{Path: "/app"}, cookie.Former{}},
		"a path now":      {cookie.Former{}, cookie.Former{Path: "/app"}},
		"a domain before": {cookie.Former{Domain: host}, cookie.Former{}},
		"a domain now":    {cookie.Former{}, cookie.Former{Domain: host}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &deployment{}
			d.deploy(c.before)
			server := httptest.NewServer(d)
			t.Cleanup(server.Close)
			_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
			b := openTab(t, shop{"http://" + host + ":" + port, "session"})
			want := func(step, user string, cookies int) {
				t.Helper()
				b.wantText("h1", user)
				if got := len(b.cookies()); got != cookies {
					t.Errorf("%s: the browser has %d cookies, want %d", step, got, cookies)
				}
				if t.Failed() {
					t.Fatal(step)
				}
			}
			// visit is a page, which the browser asks for after a deploy.
			visit := func(step, user string, cookies int) {
				t.Helper()
				b.open("/app/")
				want(step, user, cookies)
			}
			press := func(step, button, user string, cookies int) {
				t.Helper()
				b.submit(button)
				want(step, user, cookies)
			}
			double := func() {
				t.Helper()
				d.deploy(c.before)
				b.open("/app/")
				press("a login before the deploy", ada, "ada", 1)
				d.deploy(c.now) // without Former
				press("a login after it", grace, "grace", 2)
				d.doubled.Store(0)
				visit("two cookies", "two cookies", 2)
				press("a login with two cookies", ada, "two cookies", 2)
				press("a logout with two cookies", logout, "two cookies", 2)
				if got := d.doubled.Load(); got != 3 {
					t.Errorf("two cookies: got %d events, want one for each request", got)
				}
				d.deploy(c.now, c.before)
			}

			b.open("/app/")
			press("a login before", ada, "ada", 1)
			d.deploy(c.now, c.before)
			visit("still logged in by the former cookie", "ada", 1)
			press("a logout", logout, "nobody", 0)
			visit("after the logout", "nobody", 0)

			d.deploy(c.before)
			press("another login before", ada, "ada", 1)
			d.deploy(c.now, c.before)
			press("a login as another user", grace, "grace", 1)
			visit("after that login", "grace", 1)
			press("a logout after that login", logout, "nobody", 0)

			double()
			visit("two arrive", "two cookies", 1)
			visit("the page after two arrived", "grace", 1)
			press("a logout after two arrived", logout, "nobody", 0)

			double()
			press("a login with two, and Former", ada, "two cookies", 1)
			press("that login again", ada, "ada", 1)
			press("a logout in the end", logout, "nobody", 0)

			double()
			press("a logout with two, and Former", logout, "two cookies", 1)
			press("that logout again", logout, "nobody", 0)
			visit("the last page", "nobody", 0)
		})
	}
}
