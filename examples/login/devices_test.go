package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session/memory"
)

const phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"

// devices is what the devices page lists, and the ids that can be signed out.
func (r response) devices() (all, ids []string) {
	_, list, _ := strings.Cut(r.body, `<ul id="devices">`)
	list, _, _ = strings.Cut(list, "</ul>")
	for _, item := range strings.Split(list, "<li>")[1:] {
		text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(item, " ")
		all = append(all, strings.Join(strings.Fields(text), " "))
	}
	for _, button := range regexp.MustCompile(`name="id" value="([^"]+)"`).FindAllStringSubmatch(list, -1) {
		ids = append(ids, button[1])
	}
	return all, ids
}

func TestDevices(t *testing.T) {
	site := open(t, &memory.Store{})
	v, mobile, grace := visit(t, site), visit(t, site), visit(t, site)
	mobile.header.Set("User-Agent", phone)
	id := mobile.login("ada", "engine").element("session")
	own := v.login("ada", "engine").element("session")
	grace.login("grace", "compiler")
	page := v.get("/devices")
	got, ids := page.devices()
	date := `\d+ \w+ \d{4}, \d\d:\d\d UTC`
	for i, want := range []string{
		`^Firefox on Linux Last seen just now Since ` + date + ` From the network 127\.0\.0\.0/24 This device$`,
		`^Chrome on Android Last seen just now Since ` + date + ` From the network 127\.0\.0\.0/24 Sign out$`,
	} {
		if len(got) != 2 || !regexp.MustCompile(want).MatchString(got[i]) {
			t.Errorf("device %d: got %q, want %s", i, got, want)
		}
	}
	if len(ids) != 1 || ids[0] != id {
		t.Errorf("to be signed out: got %v, want the phone's session", ids)
	}
	if strings.Contains(page.body, own) {
		t.Error("this device can be signed out by its id, want by the logout alone")
	}
}

func TestDevicesRemembered(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.post("/login", "user", "ada", "password", "engine", "remember", "yes")
	if all, _ := v.get("/devices").devices(); len(all) != 1 || !strings.Contains(all[0], "stays logged in") {
		t.Errorf("got %q, want one that stays logged in", all)
	}
}

func TestSignOutOne(t *testing.T) {
	site := open(t, &memory.Store{})
	v, lost, other := visit(t, site), visit(t, site), visit(t, site)
	v.login("ada", "engine")
	id := lost.login("ada", "engine").element("session")
	other.login("ada", "engine")

	page := v.post("/devices", "id", id)
	if all, _ := page.devices(); page.element("flash") != "That device is signed out." || len(all) != 2 {
		t.Errorf("got %q and %d devices, want that it is signed out, and 2", page.element("flash"), len(all))
	}
	wantStranger(t, lost.get("/"))
	for _, v := range []*visitor{v, other} {
		if got := v.get("/").element("user"); got != "ada" {
			t.Errorf("another device: got user %q, want ada", got)
		}
	}
	if got := v.post("/devices", "id", id).element("flash"); got != "That device was signed out already." {
		t.Errorf("once more: got %q", got)
	}
}

// Whoever sends the id of somebody else's session does nothing, and learns nothing.
func TestSignOutSomebodyElse(t *testing.T) {
	site := open(t, &memory.Store{})
	v, grace := visit(t, site), visit(t, site)
	v.login("ada", "engine")
	hers := grace.login("grace", "compiler").element("session")
	_, secret, _ := strings.Cut(grace.cookie(), ".")
	want := v.post("/devices", "id", "c0ffee00-0000-4000-8000-000000000000")
	for _, id := range []string{hers, hers + "." + secret, strings.ToUpper(hers), "", "*", "../" + hers} {
		got := v.post("/devices", "id", id)
		if got.status != want.status || got.element("flash") != want.element("flash") || got.element("flash") == "" {
			t.Errorf("got status %d, %q, want %d, %q as for no session", got.status, got.element("flash"), want.status, want.element("flash"))
		}
	}
	if got := grace.get("/").element("user"); got != "grace" {
		t.Errorf("the other user: got %q, want grace", got)
	}
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("user: got %q, want ada", got)
	}
}

func TestSignOutThisOne(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	id := v.login("ada", "engine").element("session")
	wantLink(t, v.post("/devices", "id", id))
	wantStranger(t, v.get("/"))
}

func TestSignOutEverywhereElse(t *testing.T) {
	site := open(t, &memory.Store{})
	v, grace := visit(t, site), visit(t, site)
	v.login("ada", "engine")
	grace.login("grace", "compiler")
	for n, want := range []string{
		"No other device is signed in any more.", "One other device is signed out.", "2 other devices are signed out.",
	} {
		others := make([]*visitor, n)
		for i := range others {
			others[i] = visit(t, site)
			others[i].login("ada", "engine")
		}
		page := v.post("/devices", "id", "others")
		if all, _ := page.devices(); page.element("flash") != want || len(all) != 1 {
			t.Errorf("got %q and %d devices, want %q and this one", page.element("flash"), len(all), want)
		}
		for _, other := range others {
			wantStranger(t, other.get("/"))
		}
	}
	if got := grace.get("/").element("user"); got != "grace" {
		t.Errorf("another user: got %q, want grace", got)
	}
}

// A reader calls f before the first byte of the text that it reads.
type reader struct {
	f func()
	*strings.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if r.f != nil {
		r.f()
		r.f = nil
	}
	return r.Reader.Read(b)
}

// Who signs out everywhere else also stops a login that is under way.
func TestSignOutDuringLogin(t *testing.T) {
	handler := newHandler(managerOf(&memory.Store{}, false))
	site := httptest.NewServer(handler)
	t.Cleanup(site.Close)
	v := visit(t, site)
	v.login("ada", "engine")
	body := &reader{func() { v.post("/devices", "id", "others") }, strings.NewReader("user=ada&password=engine")}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	got := response{rec.Code, rec.Result().Header, rec.Body.String()}
	if got.status != http.StatusUnauthorized || !strings.Contains(got.element("problem"), "signed out everywhere") {
		t.Errorf("got status %d, problem %q, want 401 and to log in again", got.status, got.element("problem"))
	}
	if len(got.header["Set-Cookie"]) > 0 {
		t.Error("got a cookie, want none")
	}
	if all, _ := v.get("/devices").devices(); len(all) != 1 {
		t.Errorf("got %d devices, want this one", len(all))
	}
}

func TestDeviceName(t *testing.T) {
	for userAgent, want := range map[string]string{
		"":          "Unknown device",
		"x":         "Unknown device",
		"curl/8.1":  "curl",
		phone:       "Chrome on Android",
		"Something": "Unknown device",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":         "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Safari/604.1":      "Chrome on iPhone",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/120.0":      "Opera on ChromeOS",
		"Mozilla/5.0 (compatible; Linux)": "Linux",
	} {
		if got := deviceName(userAgent); got != want {
			t.Errorf("%.60q: got %q, want %q", userAgent, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for d, want := range map[time.Duration]string{
			-time.Second:         "just now",
			0:                    "just now",
			time.Minute - 1:      "just now",
			time.Minute:          "1 minute ago",
			59 * time.Minute:     "59 minutes ago",
			time.Hour:            "1 hour ago",
			day - 1:              "23 hours ago",
			day:                  "1 day ago",
			30*day + time.Minute: "30 days ago",
		} {
			if got := ago(time.Now().Add(-d)); got != want {
				t.Errorf("%v: got %q, want %q", d, got, want)
			}
		}
	})
}
