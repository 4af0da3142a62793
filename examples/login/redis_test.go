package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
)

// TestRedis runs the example as its users do, as processes.
func TestRedis(t *testing.T) {
	t.Parallel()
	bin := build(t)
	t.Run("two processes are one site", func(t *testing.T) {
		t.Parallel()
		twoProcesses(t, bin, "redis://"+redistest.Start(t).Addr)
	})
	t.Run("who is signed out at one process is so at the other", func(t *testing.T) {
		t.Parallel()
		signOutElsewhere(t, bin, "redis://"+redistest.Start(t).Addr)
	})
	t.Run("a rolling restart logs nobody out", func(t *testing.T) {
		t.Parallel()
		rollingRestart(t, bin)
	})
	t.Run("SIGTERM lets requests end", func(t *testing.T) {
		t.Parallel()
		drains(t, bin)
	})
	t.Run("without a reachable Redis it does not start", func(t *testing.T) {
		t.Parallel()
		doesNotStart(t, bin)
	})
	t.Run("a Redis that is not fit is a warning", func(t *testing.T) {
		t.Parallel()
		warns(t, bin)
	})
	t.Run("without the flag nothing is needed", func(t *testing.T) {
		t.Parallel()
		p := start(t, bin, "127.0.0.1:0")
		visit(t, p.site()).login("ada", "engine")
		p.terminate(t)
	})
}

func twoProcesses(t *testing.T, bin, store string) {
	t.Helper()
	a, b := start(t, bin, "127.0.0.1:0", "-store", store), start(t, bin, "127.0.0.1:0", "-store", store)
	v := visit(t, a.site()) // its jar does not tell ports apart
	id := v.login("ada", "engine").element("session")
	at := func(p *process) *visitor {
		v.site = p.site()
		return v
	}
	if home := at(b).get("/"); home.element("user") != "ada" || home.element("session") != id {
		t.Errorf("at the other process: got user %q, same session %t, want ada, true", home.element("user"), home.element("session") == id)
	}
	for _, step := range []struct {
		at            *process
		article, cart string
	}{
		{b, "Bread", "Bread × 1"}, {a, "Bread", "Bread × 2"}, {a, "Coffee", "Bread × 2 Coffee × 1"}, {b, "Coffee", "Bread × 2 Coffee × 2"},
	} {
		if got := at(step.at).post("/cart", "article", step.article).cart(); got != step.cart {
			t.Errorf("cart: got %q, want %q", got, step.cart)
		}
	}
	at(a).post("/renew")
	if home := at(b).get("/"); home.element("session") != id || home.cart() != "Bread × 2 Coffee × 2" {
		t.Errorf("with a new token: got same session %t, cart %q, want true and the cart", home.element("session") == id, home.cart())
	}
	other := visit(t, b.site())
	if home := other.login("grace", "compiler"); home.cart() != "" || home.element("visits") != "1" {
		t.Errorf("another user: got cart %q, visits %s, want none and 1", home.cart(), home.element("visits"))
	}
	token := v.cookie()
	at(b).post("/logout")
	wantStranger(t, at(a).get("/"))
	wantStranger(t, v.thief(token).get("/"))
	other.site = a.site()
	if got := other.get("/").element("user"); got != "grace" {
		t.Errorf("another user after the logout: got %q, want grace", got)
	}
	a.terminate(t)
	b.terminate(t)
}

func signOutElsewhere(t *testing.T, bin, store string) {
	t.Helper()
	a, b := start(t, bin, "127.0.0.1:0", "-store", store), start(t, bin, "127.0.0.1:0", "-store", store)
	v, other, third, grace := visit(t, a.site()), visit(t, b.site()), visit(t, b.site()), visit(t, b.site())
	other.header.Set("User-Agent", phone)
	login := func() {
		t.Helper()
		if other.post("/login", "user", "ada", "password", "engine", "remember", "yes"); other.get("/").element("user") != "ada" {
			t.Fatal("ada is not logged in with a phone")
		}
		third.login("ada", "engine")
	}
	v.login("ada", "engine")
	grace.login("grace", "compiler")
	login()
	all, ids := v.get("/devices").devices()
	if len(all) != 3 || len(ids) != 2 || !strings.Contains(strings.Join(all, "\n"), "Chrome on Android") {
		t.Fatalf("got devices %q, want three, a phone among them", all)
	}
	v.post("/devices", "id", other.get("/").element("session"))
	wantStranger(t, other.get("/"))
	if got := third.get("/").element("user"); got != "ada" {
		t.Errorf("the third device: got user %q, want ada", got)
	}
	login()
	if got := v.post("/devices", "id", "others").element("flash"); got != "2 other devices are signed out." {
		t.Errorf("sign out everywhere else: got %q", got)
	}
	wantStranger(t, other.get("/"))
	wantStranger(t, third.get("/"))
	login()
	if got := v.post("/password", "new", longer, "again", longer).element("flash"); !strings.Contains(got, "2 other devices") {
		t.Errorf("password: got %q", got)
	}
	wantStranger(t, other.get("/"))
	wantStranger(t, third.get("/"))
	for who, v := range map[string]*visitor{"ada": v, "grace": grace} {
		if got := v.get("/").element("user"); got != who {
			t.Errorf("in the end: got user %q, want %s", got, who)
		}
	}
	a.terminate(t)
	b.terminate(t)
}

// A customer is a visitor who buys bread in two tabs, again and again, and counts
// it.
type customer struct {
	*visitor
	got     atomic.Int64 // bread that the site has confirmed
	perhaps atomic.Int64 // bread whose confirmation did not come
}

func rollingRestart(t *testing.T, bin string) {
	t.Helper()
	redisURL := "redis://" + redistest.Start(t).Addr
	processes := []*process{start(t, bin, "127.0.0.1:0", "-redis", redisURL), start(t, bin, "127.0.0.1:0", "-redis", redisURL)}
	customers := make([]*customer, 8)
	for i := range customers {
		c := &customer{visitor: visit(t, processes[i%2].site())}
		c.login("ada", "engine")
		customers[i] = c
	}
	urls := []string{processes[0].url, processes[1].url}
	var (
		over atomic.Bool
		all  sync.WaitGroup
	)
	for _, c := range customers {
		for tab := range 2 {
			all.Go(func() {
				for n := tab; !over.Load() && !t.Failed(); n++ {
					c.shop(urls[n%2])
				}
			})
		}
	}
	stop := func() {
		over.Store(true)
		all.Wait()
	}
	defer stop()
	// more waits until every customer got some more bread.
	more := func() {
		t.Helper()
		for i, c := range customers {
			goal := c.got.Load() + 4
			await(t, fmt.Sprintf("customer %d gets bread", i), func() bool { return c.got.Load() >= goal || t.Failed() })
		}
	}
	more()
	for i, p := range processes {
		p.terminate(t)
		more()
		processes[i] = start(t, bin, p.addr, "-redis", redisURL)
		more()
	}
	stop()
	for i, c := range customers {
		c.site = processes[i%2].site()
		home := c.get("/")
		var n int64
		if _, err := fmt.Sscanf(home.cart(), "Bread × %d", &n); err != nil || home.status != http.StatusOK {
			t.Fatalf("customer %d: got status %d, cart %q: %v", i, home.status, home.cart(), err)
		}
		if got, perhaps := c.got.Load(), c.perhaps.Load(); n < got || n > got+perhaps {
			t.Errorf("customer %d has %d bread, want %d and at most %d more", i, n, got, perhaps)
		}
	}
	for _, p := range processes {
		p.terminate(t)
	}
}

// shop looks at the home page of a process, and buys bread there, if it is up.
func (c *customer) shop(site string) {
	form := c.form("article", "Bread")
	for method, want := range map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusSeeOther} {
		path, body := "/", ""
		if method == http.MethodPost {
			path, body = "/cart", form
		}
		status, err := c.ask(method, site+path, body)
		switch {
		case err == nil && status != want:
			c.t.Errorf("%s %s: got status %d, want %d", method, path, status, want)
		case err == nil && method == http.MethodPost:
			c.got.Add(1)
		case err != nil && method == http.MethodPost && !errors.Is(err, syscall.ECONNREFUSED):
			c.perhaps.Add(1)
		case err != nil:
			time.Sleep(time.Millisecond) // not to spin where nobody listens
		}
	}
}

// ask sends a request as the visitor, and leaves redirects alone. It is for
// goroutines beside the test's.
func (v *visitor) ask(method, at, form string) (status int, err error) {
	req, err := http.NewRequestWithContext(v.t.Context(), method, at, strings.NewReader(form))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := *v.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func drains(t *testing.T, bin string) {
	t.Helper()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	p := start(t, bin, "127.0.0.1:0", "-redis", "redis://"+proxy.Addr)
	v := visit(t, p.site())
	v.login("ada", "engine")
	count := redistest.Commands(t, server)
	proxy.SetDelay(50 * time.Millisecond) // each way; the page asks several times, each within a second
	var (
		status int
		err    error
		asked  sync.WaitGroup
	)
	asked.Go(func() { status, err = v.ask(http.MethodGet, p.url+"/", "") })
	await(t, "Redis is asked", func() bool { return count()["hgetall"].Calls > 0 })
	p.signal(t)
	asked.Wait()
	if err != nil || status != http.StatusOK {
		t.Errorf("request under way: got status %d, %v, want 200", status, err)
	}
	p.wait(t)
}

func doesNotStart(t *testing.T, bin string) {
	t.Helper()
	server := redistest.Start(t, "--requirepass", "s3cret")
	server.MustDo(t, "ACL", "SETUSER", "mallory", "on", ">s3cret", "-@all")
	paused := redistest.Start(t)
	paused.Pause()
	processes := make(map[string]*process) // at once: some wait
	for name, redisURL := range map[string]string{
		"wrong password":  "redis://:hunter2@" + server.Addr,
		"unknown user":    "redis://eve:hunter2@" + server.Addr,
		"no password":     "redis://" + server.Addr,
		"may do nothing":  "redis://mallory:s3cret@" + server.Addr,
		"nobody listens":  "redis://mallory:hunter2@127.0.0.1:1",
		"does not answer": "redis://mallory:hunter2@" + paused.Addr + "?read_timeout=0&write_timeout=0",
		"no such host":    "redis://mallory:hunter2@host.invalid",
		"no sentinel":     "redis+sentinel://mallory:hunter2@127.0.0.1:1/shop?sentinel_password=s3cret",
		"no cluster":      "redis+cluster://mallory:hunter2@" + paused.Addr,
		"not a cluster":   "redis+cluster://:s3cret@" + server.Addr + "?read_only=true",
		"malformed":       "redis://mallory:hunter2@localhost:port",
	} {
		processes[name] = run(t, bin, "-addr", "127.0.0.1:0", "-redis", redisURL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, p := range processes {
		select {
		case <-p.ended:
		case <-ctx.Done():
			t.Errorf("%s: did not end", name)
			continue
		}
		out := p.out.String()
		if p.err == nil || out == "" || strings.Contains(out, "Serving") {
			t.Errorf("%s: got %v and %q, want a failure that is explained", name, p.err, out)
		}
		for _, secret := range []string{"hunter2", "s3cret", "mallory", "eve"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s: the output tells %s: %q", name, secret, out)
			}
		}
	}
}

// What is wrong with a server that can be used is logged, and the site starts.
func warns(t *testing.T, bin string) {
	t.Helper()
	const warning = "Redis is not configured for sessions"
	server := redistest.Start(t)
	for _, policy := range []string{"noeviction", "allkeys-lru"} {
		server.MustDo(t, "CONFIG", "SET", "maxmemory-policy", policy)
		p := start(t, bin, "127.0.0.1:0", "-redis", "redis://:hunter2@"+server.Addr)
		visit(t, p.site()).login("ada", "engine")
		p.terminate(t)
		out := p.out.String()
		if got, want := strings.Count(out, warning), policy != "noeviction"; got > 1 || got == 1 != want {
			t.Errorf("%s: got %d warnings, want one: %v", policy, got, want)
		}
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s: the password is in the output", policy)
		}
	}
}

func TestReleaseClosesTheClient(t *testing.T) {
	t.Setenv("SESSION_STORE", "redis://"+redistest.Start(t).Addr)
	m, closer, err := newManager("", false)
	if err != nil {
		t.Fatal(err)
	}
	store := m.Store
	if err := store.Remove(t.Context(), "id"); err != nil {
		t.Error(err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	if err := store.Remove(t.Context(), "id"); !errors.Is(err, goredis.ErrClosed) {
		t.Errorf("after the release: got %v, want %v", err, goredis.ErrClosed)
	}
}
