package main

import (
	"html"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/mist-contrib/session/memory"
)

// postRoutes are the routes that do something.
var postRoutes = []string{"/login", "/cart", "/order", "/renew", "/devices", "/password", "/confirm", "/logout"}

// demoUsers are demo, whose hashes TestMain makes cheap.
var demoUsers = maps.Clone(demo)

// TestMain makes logins cheap: under the race detector a bcrypt comparison takes
// a second.
func TestMain(m *testing.M) {
	cost = bcrypt.MinCost
	for name, password := range map[string]string{"ada": "engine", "grace": "compiler"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
		if err != nil {
			log.Fatal(err)
		}
		demo[name] = string(hash)
	}
	dir, err := os.MkdirTemp("", "login")
	if err != nil {
		log.Fatal(err)
	}
	program.bin = filepath.Join(dir, "login")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func TestNobody(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	wantStranger(t, v.get("/"))
	for _, path := range postRoutes[1:] {
		wantLink(t, v.post(path))
	}
	if got := len(v.client.Jar.Cookies(v.url())); got != 0 {
		t.Errorf("got %d cookies, want none before the login", got)
	}
}

func TestLogin(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	home := v.login("ada", "engine")
	if got := home.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("user after a reload: got %q, want ada", got)
	}
}

// The passwords that the page shows are those of the demo users.
func TestDemoUsers(t *testing.T) {
	form := visit(t, open(t, &memory.Store{})).get("/login")
	shown := regexp.MustCompile(`<td><code>(\w+)</code></td><td><code>(\w+)</code></td>`).FindAllStringSubmatch(form.body, -1)
	if form.status != http.StatusOK || len(shown) != len(demoUsers) {
		t.Fatalf("got status %d with %d demo users, want 200 with %d", form.status, len(shown), len(demoUsers))
	}
	for _, demo := range shown {
		if err := bcrypt.CompareHashAndPassword([]byte(demoUsers[demo[1]]), []byte(demo[2])); err != nil {
			t.Errorf("password of %s: got %v, want nil", demo[1], err)
		}
	}
}

func TestLoginRefused(t *testing.T) {
	site := open(t, &memory.Store{})
	for _, c := range []struct{ name, user, password string }{
		{"wrong password", "ada", "wrong"},
		{"password of another", "ada", "compiler"},
		{"no password", "ada", ""},
		{"unknown user", "eve", "engine"},
		{"password over 72 bytes", "ada", strings.Repeat("engine", 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := visit(t, site)
			got := v.post("/login", "user", c.user, "password", c.password)
			if got.status != http.StatusUnauthorized || got.element("problem") == "" {
				t.Errorf("got status %d, problem %q, want 401 with a problem", got.status, got.element("problem"))
			}
			if got := len(v.client.Jar.Cookies(v.url())); got != 0 {
				t.Errorf("got %d cookies, want none", got)
			}
			wantStranger(t, v.get("/"))
		})
	}
}

// A refused form keeps the name and the tick, and never the password.
func TestLoginRefusedKeepsTheName(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	const tick = ` checked`
	for _, remember := range []string{"", "yes"} {
		got := v.post("/login", "user", "ada", "password", "compiler", "remember", remember)
		if name := got.name(t); name != "ada" || strings.Contains(got.body, tick) != (remember != "") {
			t.Errorf("remember %q: got the name %q, ticked %t", remember, name, strings.Contains(got.body, tick))
		}
		if before, _, _ := strings.Cut(got.body, "Demo users"); strings.Contains(before, "compiler") {
			t.Error("the page has the password")
		}
	}
	for _, path := range []string{"/", "/login", "/?user=ada", "/login?user=ada"} {
		if name := v.get(path).name(t); name != "" {
			t.Errorf("%s: got the name %q, want none", path, name)
		}
	}
}

// Whatever a refused name has in it, the rest of the page stays the same.
func TestLoginRefusedEscapesTheName(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	usual := v.post("/login", "user", "eve", "password", "x").body
	for _, name := range []string{
		`"><script>alert(1)</script>`, `" autofocus onfocus="alert(1)`, `' onfocus='alert(1)`, `eve" value="ada`, "`", `</form></html>`,
		`{{.CSRF}}`, `&quot;&#34;&amp;`, "javascript:alert(1)", "eve\x00\r\n\u2028\u202e", "\xff\xfe\xc0\"", strings.Repeat(`"`, 512),
	} {
		got := v.post("/login", "user", name, "password", "x")
		if page := strings.Replace(got.body, formName.FindString(got.body), formName.FindString(usual), 1); page != usual {
			t.Errorf("%q: the page has changed", name)
		}
		if kept, want := got.name(t), strings.ReplaceAll(name, "\x00", "\ufffd"); kept != want {
			t.Errorf("%q: got the name %q", name, kept)
		}
	}
}

var formName = regexp.MustCompile(`<input name="user"( value="[^"]*")?`)

// name returns the user name in the login form.
func (r response) name(t *testing.T) string {
	t.Helper()
	field := formName.FindStringSubmatch(r.body)
	if field == nil {
		t.Fatal("no field for the name")
	}
	return html.UnescapeString(strings.TrimSuffix(strings.TrimPrefix(field[1], ` value="`), `"`))
}

// What a bcrypt comparison costs is in the hash, so telling the costs apart needs
// no clock; that there is a comparison does, but no machine is that fast.
func TestUnknownUserCostsTheSame(t *testing.T) {
	want, err := bcrypt.Cost([]byte(nobody))
	if err != nil || want < bcrypt.DefaultCost {
		t.Fatalf("cost for nobody: got %d, %v, want at least %d", want, err, bcrypt.DefaultCost)
	}
	for name, hash := range demoUsers {
		if got, err := bcrypt.Cost([]byte(hash)); got != want || err != nil {
			t.Errorf("cost for %s: got %d, %v, want %d", name, got, err, want)
		}
	}
	start := time.Now()
	newUsers().passwordIs("eve", "engine")
	if got := time.Since(start); got < 5*time.Millisecond {
		t.Errorf("unknown user: got an answer after %v, want it after a comparison", got)
	}
}

func TestLoginEndsTheOldSession(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	v.post("/cart", "article", "Bread")
	old := v.cookie()

	home := v.login("grace", "compiler")
	if home.cart() != "" || home.element("visits") != "1" {
		t.Errorf("new session: got cart %q, visits %s, want none and 1", home.cart(), home.element("visits"))
	}
	wantStranger(t, v.thief(old).get("/"))
}

// Who logs in again goes on where they were, and what somebody may have copied
// opens nothing.
func TestLoginAgain(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	id := v.login("ada", "engine").element("session")
	v.post("/cart", "article", "Bread")
	old := v.cookie()
	if home := v.login("ada", "engine"); home.element("session") != id || home.cart() != "Bread × 1" {
		t.Errorf("got same session %t, cart %q, want true and one Bread", home.element("session") == id, home.cart())
	}
	wantStranger(t, v.thief(old).get("/"))
}

// A login that is refused leaves alone who is logged in already.
func TestLoginRefusedKeepsTheOldSession(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	v.post("/login", "user", "grace", "password", "wrong")
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("user: got %q, want ada", got)
	}
}

func TestRenew(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	before := v.login("ada", "engine")
	v.post("/cart", "article", "Coffee")
	old := v.cookie()

	after := v.post("/renew")
	if after.element("user") != "ada" || after.cart() != "Coffee × 1" || after.element("session") != before.element("session") {
		t.Errorf("got user %q, cart %q, same session %t, want ada, Coffee × 1, true",
			after.element("user"), after.cart(), after.element("session") == before.element("session"))
	}
	if v.cookie() == old {
		t.Error("the cookie is as before, want another")
	}
	// A request that was under way with the old cookie is not thrown out.
	if got := v.thief(old).get("/").status; got != http.StatusOK {
		t.Errorf("old cookie within the grace period: got status %d, want 200", got)
	}
}

func TestLogout(t *testing.T) {
	v := visit(t, open(t, &memory.Store{}))
	v.login("ada", "engine")
	old := v.cookie()
	if form := v.post("/logout"); form.status != http.StatusOK || !strings.Contains(form.body, `id="login"`) {
		t.Errorf("got status %d, want the login form", form.status)
	}
	if got := len(v.client.Jar.Cookies(v.url())); got != 0 {
		t.Errorf("got %d cookies, want none", got)
	}
	wantStranger(t, v.get("/"))
	wantStranger(t, v.thief(old).get("/"))
}

// The default propagator over https, as -cert and -key choose it.
func TestHTTPS(t *testing.T) {
	site := httptest.NewTLSServer(newHandler(managerOf(&memory.Store{}, true)))
	t.Cleanup(site.Close)
	v := visit(t, site)
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	line := v.post("/login", "user", "ada", "password", "engine").header.Get("Set-Cookie")
	want := regexp.MustCompile(`^__Host-Http-session=[\w.-]+; Path=/; HttpOnly; Secure; SameSite=Lax$`)
	if !want.MatchString(line) {
		name, _, _ := strings.Cut(line, "=")
		_, attributes, _ := strings.Cut(line, ";")
		t.Errorf("Set-Cookie: got %s=…;%s", name, attributes)
	}
	if got := v.get("/").element("user"); got != "ada" {
		t.Errorf("user: got %q, want ada", got)
	}
}

func TestURL(t *testing.T) {
	listening := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	for _, c := range []struct {
		addr  string
		https bool
		want  string
	}{
		{"localhost:8080", false, "http://localhost:4711"},
		{"localhost:0", true, "https://localhost:4711"},
		{":8080", false, "http://localhost:4711"},
		{"[::1]:8080", false, "http://[::1]:4711"},
	} {
		if got := siteURL(c.addr, c.https, listening); got != c.want {
			t.Errorf("siteURL(%q, %t): got %s, want %s", c.addr, c.https, got, c.want)
		}
	}
}
