package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// TestTranscript runs the lines of the comment in main.go in a shell, and wants
// what stands below them.
func TestTranscript(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "\npackage main")
	_, comment, _ = strings.Cut(comment, "//\t$ ")
	want := strings.ReplaceAll("$ "+comment+"\n", "//\t", "")

	server := httptest.NewServer(newHandler(&memory.Store{}))
	defer server.Close()
	var script strings.Builder
	for line := range strings.Lines(want) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			fmt.Fprintf(&script, "cat <<'END'\n%sEND\n%s", line,
				strings.ReplaceAll(command, "localhost:8080", strings.TrimPrefix(server.URL, "http://")))
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script.String())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("got %v and %q", err, stderr.String())
	}
	varies := regexp.MustCompile(`[0-9a-f-]{36}|curl/[\d.]+`)
	if got, want := varies.ReplaceAllString(string(out), "VARIES"), varies.ReplaceAllString(want, "VARIES"); got != want {
		t.Errorf("got:\n%s\nthe comment has:\n%s", got, want)
	}
}

// TestMain makes logins cheap, for the race detector.
func TestMain(m *testing.M) {
	for name, password := range map[string]string{"ada": "engine", "grace": "compiler"} {
		if bcrypt.CompareHashAndPassword([]byte(users[name]), []byte(password)) != nil {
			log.Fatalf("the password of %s is another", name)
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			log.Fatal(err)
		}
		users[name] = string(hash)
	}
	os.Exit(m.Run())
}

// A client is a program that uses the API.
type client struct {
	t    *testing.T
	api  http.Handler
	auth string
}

type response struct {
	status int
	header http.Header
	body   string
}

func (c *client) ask(method, path, body string) response {
	c.t.Helper()
	req := httptest.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body))
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	rec := httptest.NewRecorder()
	c.api.ServeHTTP(rec, req)
	res := rec.Result()
	if given, ok := res.Header["Authorization"]; ok {
		c.auth = given[0]
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, strings.TrimSpace(string(text))}
}

func (c *client) want(method, path, body string, status int, text string) {
	c.t.Helper()
	got := c.ask(method, path, body)
	if got.status != status || got.body != text {
		c.t.Errorf("%s %s: got %d %s, want %d %s", method, path, got.status, got.body, status, text)
	}
	if status == http.StatusUnauthorized && got.header.Get("WWW-Authenticate") != "Bearer" {
		c.t.Errorf("%s %s: got no WWW-Authenticate, want Bearer", method, path)
	}
	if text != "" && (got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store") {
		c.t.Errorf("%s %s: got %s, %s, want JSON that no cache keeps", method, path, got.header.Get("Content-Type"), got.header.Get("Cache-Control"))
	}
	if len(got.header["Set-Cookie"]) > 0 {
		c.t.Errorf("%s %s: got a cookie", method, path)
	}
}

func (c *client) login() {
	c.t.Helper()
	c.want("POST", "/login", `{"user":"ada","password":"engine"}`, http.StatusNoContent, "")
	if !strings.HasPrefix(c.auth, "Bearer ") {
		c.t.Error("login: got no token")
	}
}

const (
	stranger = `{"error":"log in first"}`
	down     = `{"error":"try again later"}`
)

func TestRefused(t *testing.T) {
	c := &client{t: t, api: newHandler(&memory.Store{})}
	for _, body := range []string{
		`{}`, `{"user":"ada"}`, `{"user":"ada","password":"compiler"}`, `{"user":"eve","password":"engine"}`, `{"password":"engine"}`,
	} {
		c.want("POST", "/login", body, http.StatusUnauthorized, stranger)
	}
	for _, body := range []string{``, `{`, `"ada"`, `{"user":1}`, `user=ada&password=engine`, `{"user":"` + strings.Repeat("a", 65<<10) + `"}`} {
		c.want("POST", "/login", body, http.StatusBadRequest, `{"error":"not the JSON that was expected"}`)
	}
	if c.auth != "" {
		t.Error("got a token without a login")
	}
	for _, auth := range []string{"", "Bearer", "Bearer x", "Basic YWRhOmVuZ2luZQ=="} {
		c.auth = auth
		for _, route := range []string{"GET /me", "POST /notes", "POST /renew", "GET /sessions", "DELETE /login"} {
			method, path, _ := strings.Cut(route, " ")
			c.want(method, path, `"x"`, http.StatusUnauthorized, stranger)
		}
	}
}

func TestTokens(t *testing.T) {
	api := newHandler(&memory.Store{})
	c, grace := &client{t: t, api: api}, &client{t: t, api: api}
	c.login()
	grace.want("POST", "/login", `{"user":"grace","password":"compiler"}`, http.StatusNoContent, "")
	c.want("POST", "/notes", `"bread"`, http.StatusOK, `["bread"]`)
	grace.want("GET", "/me", "", http.StatusOK, `{"user":"grace","notes":null}`)

	first := c.auth
	c.want("POST", "/renew", "", http.StatusNoContent, "")
	if c.auth == first {
		t.Error("renew: got the token from before")
	}
	// A request that is under way with the old token is not thrown out; a login
	// leaves no such grace.
	underWay := &client{t: t, api: api, auth: first}
	underWay.want("GET", "/me", "", http.StatusOK, `{"user":"ada","notes":["bread"]}`)
	second := c.auth
	c.login()
	underWay.auth = second
	underWay.want("GET", "/me", "", http.StatusUnauthorized, stranger)

	third := c.auth
	c.want("DELETE", "/login", "", http.StatusNoContent, "")
	if c.auth != "" {
		t.Error("logout: the client is not told to forget the token")
	}
	c.auth = third
	c.want("GET", "/me", "", http.StatusUnauthorized, stranger)
	grace.want("GET", "/me", "", http.StatusOK, `{"user":"grace","notes":null}`)
}

func TestSessions(t *testing.T) {
	api := newHandler(&memory.Store{})
	clients := make([]*client, 11) // one more than MaxUserSessions
	for i := range clients {
		clients[i] = &client{t: t, api: api}
		clients[i].login()
	}
	clients[0].want("GET", "/me", "", http.StatusUnauthorized, stranger)
	var devices []device
	if err := json.Unmarshal([]byte(clients[1].ask("GET", "/sessions", "").body), &devices); err != nil {
		t.Fatal(err)
	}
	var current []string
	for _, d := range devices {
		if d.Current {
			current = append(current, d.ID)
		}
	}
	if len(devices) != 10 || len(current) != 1 || !strings.HasPrefix(clients[1].auth, "Bearer "+current[0]+".") {
		t.Errorf("got %d sessions, %v current, want 10 and that of the client", len(devices), current)
	}
}

func TestNotesTogether(t *testing.T) {
	c := &client{t: t, api: newHandler(&memory.Store{})}
	c.login()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			own := *c
			own.ask("POST", "/notes", `"x"`)
		})
	}
	all.Wait()
	c.want("GET", "/me", "", http.StatusOK, `{"user":"ada","notes":["x","x","x","x","x","x","x","x"]}`)
}

func TestTooMuch(t *testing.T) {
	c := &client{t: t, api: newHandler(&memory.Store{})}
	c.login()
	note := `"` + strings.Repeat("x", 60_000) + `"`
	for range 100 {
		if got := c.ask("POST", "/notes", note); got.status != http.StatusOK {
			c.want("POST", "/notes", note, http.StatusRequestEntityTooLarge, `{"error":"that is too much"}`)
			return
		}
	}
	t.Error("six megabytes were kept, want an error")
}

func TestStoreDown(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	store := &sessiontest.FaultStore{Store: &memory.Store{}}
	c := &client{t: t, api: newHandler(store)}
	c.login()
	auth := c.auth
	store.Reset(func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailBefore })
	for _, route := range []string{"POST /login", "GET /me", "POST /notes", "POST /renew", "GET /sessions", "DELETE /login"} {
		method, path, _ := strings.Cut(route, " ")
		body := `"x"`
		if path == "/login" {
			body = `{"user":"ada","password":"engine"}`
		}
		c.want(method, path, body, http.StatusServiceUnavailable, down)
	}
	store.Reset(nil)
	if c.auth != auth {
		t.Error("the client got another token, want none")
	}
	c.want("GET", "/me", "", http.StatusOK, `{"user":"ada","notes":null}`)
}
