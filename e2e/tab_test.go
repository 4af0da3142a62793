package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

const (
	testLimit = 75 * time.Second // for one test in one tab
	shotLimit = 10 * time.Second
	pollEvery = 50 * time.Millisecond
)

// A tab has a browser context of its own: it shares no cookie and no cache with another
// tab.
type tab struct {
	t    *testing.T
	shop shop
	ctx  context.Context //nolint:containedctx // chromedp's handle of a tab is a context
}

// openTab opens an empty tab. If the test fails, artifacts has a picture of its last page.
func openTab(t *testing.T, s shop) *tab {
	t.Helper()
	return openTabOf(t, s, browser, chromedp.WithNewBrowserContext())
}

//nolint:revive // t first, as in all helpers of tests
func openTabOf(t *testing.T, s shop, browser context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, options...)
	t.Cleanup(cancel)
	if err := start(ctx, cancel); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			keepScreenshot(t, ctx, strings.ReplaceAll(t.Name(), "/", "-"))
		}
	})
	limited, cancelLimited := context.WithTimeout(ctx, testLimit)
	t.Cleanup(cancelLimited)
	return &tab{t, s, limited}
}

// keepScreenshot writes a picture of the page to artifacts. It never shows a cookie:
// scripts cannot read it, so pages cannot show it.
func keepScreenshot(t *testing.T, ctx context.Context, name string) { //nolint:revive // t first, as in all helpers of tests
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, shotLimit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Logf("no screenshot: %v", err)
		return
	}
	file := filepath.Join(artifacts, name+".png")
	for n := 2; exists(file); n++ { // a test may have two tabs
		file = filepath.Join(artifacts, fmt.Sprintf("%s-%d.png", name, n))
	}
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		t.Log(err)
		return
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		t.Log(err)
		return
	}
	t.Logf("screenshot: e2e/%s", filepath.ToSlash(file))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// load takes a step that loads a page, waits for the page and returns its status.
func (b *tab) load(what string, step chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	res, err := chromedp.RunResponse(b.ctx, step)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return int(res.Status)
}

func (b *tab) open(path string) int {
	b.t.Helper()
	return b.load("open "+path, chromedp.Navigate(b.shop.url+path))
}

func (b *tab) reload() int {
	b.t.Helper()
	return b.load("reload", chromedp.Reload())
}

// submit presses the button of a selector.
func (b *tab) submit(button string) int {
	b.t.Helper()
	return b.load("submit "+button, chromedp.Click(chromedp.CSS(button)))
}

// fill fills in the login form and sends it.
func (b *tab) fill(user, password string) int {
	b.t.Helper()
	b.enter("#login [name=user]", user)
	b.enter("#login [name=password]", password)
	return b.submit("#login button")
}

// enter types into a field.
func (b *tab) enter(field, text string) {
	b.t.Helper()
	err := chromedp.Do(b.ctx, chromedp.WaitVisible(chromedp.CSS(field)), chromedp.SendKeys(chromedp.CSS(field), text))
	if err != nil {
		b.t.Fatalf("fill in %s: %v", field, err)
	}
}

// check ticks a box.
func (b *tab) check(box string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(box))); err != nil {
		b.t.Fatalf("tick %s: %v", box, err)
	}
}

// login logs in as ada.
func (b *tab) login() {
	b.t.Helper()
	b.open("/login")
	if got := b.fill("ada", "engine"); got != 200 {
		b.t.Fatalf("login: got status %d, want 200", got)
	}
	b.wantText("#user", "ada")
}

// evaluate runs a script in the page, as the page's own.
func evaluate[T any](b *tab, script string, options ...chromedp.EvaluateOption) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, options...))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", script, err)
	}
	return v
}

// text returns the visible text of an element, or nothing if there is no such element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "").replace(/\s+/g, " ").trim()`, selector))
}

func (b *tab) wantText(selector, want string) {
	b.t.Helper()
	if got := b.text(selector); got != want {
		b.t.Errorf("%s: got %q, want %q", selector, got, want)
	}
}

// wantStranger fails the test unless the tab shows the login form, and nothing
// private.
func (b *tab) wantStranger() {
	b.t.Helper()
	b.wantText("h1", "Log in")
	b.wantText("#login button", "Log in")
	for _, private := range []string{"#user", "#visits", "#cart", "#session", "#logout"} {
		b.wantText(private, "")
	}
	if strings.Contains(b.text("body"), "Hello") {
		b.t.Error("the page still greets the user")
	}
}

// cookies returns all cookies of the tab's browser context.
func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	res, err := chromedp.CallBrowser(b.ctx, storage.GetCookies, storage.GetCookiesParams{
		BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
	})
	if err != nil {
		b.t.Fatalf("cookies: %v", err)
	}
	return res.Cookies
}

// cookie returns the cookie of the session, which must be the only one. Its value is a
// secret: tests compare it and never print it.
func (b *tab) cookie() *network.Cookie {
	b.t.Helper()
	all := b.cookies()
	if len(all) != 1 || all[0].Name != b.shop.cookieName {
		b.t.Fatalf("cookies: got %v, want %s alone", names(all), b.shop.cookieName)
	}
	return all[0]
}

func names(cookies []*network.Cookie) []string {
	all := make([]string, 0, len(cookies))
	for _, c := range cookies {
		all = append(all, c.Name)
	}
	return all
}

// eventually waits until a script returns true, also if the page changes meanwhile.
func (b *tab) eventually(script string) {
	b.t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		// Between two pages no script can run, so an error means nothing.
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script)); err == nil && ok {
			return
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.t.Fatalf("never true: %s", script)
		}
	}
}
