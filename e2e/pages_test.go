package e2e_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A look is how a visitor sees the shop.
type look struct {
	name      string
	width     int64
	scheme    string // of the colours
	largeText bool   // twice the size
}

var looks = []look{
	{"desktop", 720, "light", false},
	{"phone", 390, "light", false},
	{"dark", 390, "dark", false},
	{"large", 390, "light", true},
}

// flaws lists what is wrong with a page, whatever it shows.
const flaws = `(() => {
	const found = [], text = e => e.getAttribute("aria-label") || e.innerText.trim();
	const seen = e => e.checkVisibility() && e.getBoundingClientRect().width > 0;
	if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the window");
	if (document.querySelectorAll("h1").length !== 1) found.push("the page has not one h1");
	for (const e of document.querySelectorAll("input")) if (seen(e) && !(e.labels[0]?.innerText.trim())) found.push(e.name + " has no label");
	for (const e of document.querySelectorAll("a, button, input")) {
		const height = (e.closest("label") ?? e).getBoundingClientRect().height;
		if (seen(e) && e.localName !== "input" && !text(e)) found.push(e.localName + " has no name");
		if (seen(e) && height < 24) found.push(e.localName + " " + text(e) + " is " + height + " pixels high");
	}
	for (const e of document.querySelectorAll("section *")) if (seen(e)) {
		const inner = e.getBoundingClientRect(), outer = e.closest("section").getBoundingClientRect();
		if (inner.right > outer.right || inner.left < outer.left) found.push(e.localName + " " + text(e) + " sticks out of its section");
	}
	const rgb = s => s.match(/[\d.]+/g).map(Number);
	const light = s => rgb(s).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const behind = e => { const s = getComputedStyle(e).backgroundColor; return rgb(s)[3] === 0 ? behind(e.parentElement) : s; };
	const contrast = (colour, e, want, what) => {
		const [low, high] = [light(colour), light(behind(e))].sort((a, b) => a - b);
		const ratio = (high + .05) / (low + .05);
		if (ratio < want) found.push(what + " has a contrast of " + ratio.toFixed(2));
	};
	for (const e of document.querySelectorAll("main *")) {
		const style = getComputedStyle(e);
		if (seen(e) && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) contrast(style.color, e, 4.5, text(e));
		if (seen(e) && e.localName === "input" && e.type !== "checkbox") contrast(style.borderTopColor, e.parentElement, 3, "the border of " + e.name);
	}
	return found.join("; ");
})()`

// fallen counts the buttons that are below the text of their row.
const fallen = `[...document.querySelectorAll("li button, li .badge")].filter(b =>
	b.getBoundingClientRect().top >= b.closest("li").firstElementChild.getBoundingClientRect().bottom).length`

// cursor is the name of the field that has the cursor. The browser sets it when it draws
// the first frame, which may be after the page has loaded, so the script waits for a frame.
const cursor = `new Promise(name => requestAnimationFrame(() => name(document.activeElement.name ?? "")))`

func (b *tab) look(l look) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(l.width, 600)); err != nil {
		b.t.Fatal(err)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) pretend(userAgent string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: userAgent}); err != nil {
		b.t.Fatal(err)
	}
}

// TestPages looks at every page of the shop, and leaves their pictures in artifacts.
func TestPages(t *testing.T) {
	s := openShop(t)
	for _, userAgent := range []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
	} {
		other := openTab(t, s)
		other.pretend(userAgent)
		other.open("/login")
		other.check("[name=remember]")
		other.fill("ada", "engine")
	}
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			b := openTab(t, s)
			b.look(l)
			check := func(page, focus string) {
				t.Helper()
				if l.largeText {
					evaluate[any](b, `document.documentElement.style.fontSize = "200%"; null`)
				}
				if got := evaluate[string](b, flaws); got != "" {
					t.Errorf("%s: %s", page, got)
				}
				if got := evaluate[string](b, cursor, chromedp.EvalAwaitPromise); got != focus {
					t.Errorf("%s: got the cursor in %q, want it in %q", page, got, focus)
				}
				if got := evaluate[int](b, fallen); got != 0 && !l.largeText {
					t.Errorf("%s: %d buttons are below their row", page, got)
				}
				keepScreenshot(t, b.ctx, l.name+"-"+strings.ReplaceAll(page, " ", "-"))
			}
			b.open("/")
			check("the first page", "user")
			b.check("[name=remember]")
			b.fill("ada", "compiler")
			check("a wrong password", "password")
			if got := evaluate[string](b, `document.querySelector("[name=user]").value`); got != "ada" {
				t.Errorf("a wrong password: got the name %q, want ada", got)
			}
			b.enter("[name=password]", "engine")
			b.submit("#login button")
			b.wantText("#user", "ada")
			check("home", "")
			b.submit("[value=Bread]")
			check("home with a cart", "")
			b.open("/devices")
			check("devices", "")
			b.open("/confirm")
			check("confirm", "password")
			b.open("/password")
			b.confirm("engine")
			check("password", "new")
			b.submit("#logout button")
			b.open("/devices")
			check("a page for users", "")
		})
	}
}
