package session_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// generated returns a session of a memory store, and a function that loads it
// again.
func generated(t *testing.T) (s session.Session, load func() session.Session) {
	t.Helper()
	st := &memory.Store{}
	s, err := st.Generate(t.Context(), "id")
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return s, func() session.Session {
		s, err := st.Get(t.Context(), "id")
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		return s
	}
}

func csrfToken(t *testing.T, s session.Session) string {
	t.Helper()
	token, err := session.CSRFToken(t.Context(), s)
	if err != nil {
		t.Fatalf("CSRFToken: %v", err)
	}
	return token
}

// forged reports whether CheckCSRFToken refuses a token. Any error but ErrForged fails
// the test.
func forged(t *testing.T, s session.Session, token string) bool {
	t.Helper()
	err := session.CheckCSRFToken(t.Context(), s, token)
	if err != nil && !errors.Is(err, session.ErrForged) {
		t.Errorf("CheckCSRFToken: %v", err)
	}
	return err != nil
}

// T-C1: each call returns another token. Two tokens have nothing in common, and the
// session accepts all of them, also in objects that were loaded before and since.
func TestCSRFTokenIsMasked(t *testing.T) {
	const tokens = 200
	s, load := generated(t)
	seen := make(map[string]int) // eight characters: the token they were in
	made := make([]string, tokens)
	for i := range made {
		made[i] = csrfToken(t, s)
		for j := range len(made[i]) - 7 {
			piece := made[i][j : j+8]
			if k, ok := seen[piece]; ok && k != i {
				t.Fatal("two tokens have eight characters in common")
			}
			seen[piece] = i
		}
	}
	again := load()
	for _, token := range made {
		if forged(t, s, token) || forged(t, again, token) {
			t.Fatal("a token was refused")
		}
	}
}

// T-C2: an attacker who puts guesses into a page and measures its compressed length
// learns nothing about the token in it. With the right guess for one session, the pages
// of all sessions are equally long. With constant tokens the test would see a
// difference.
func TestCSRFTokenAgainstBREACH(t *testing.T) {
	const rounds, guessed = 500, 24
	w := gzip.NewWriter(nil)
	length := func(token, guess string) float64 {
		var page bytes.Buffer
		w.Reset(&page)
		_, _ = fmt.Fprintf(w, `<p>No results for %s</p><form method=post><input type=hidden name=%s value=%s></form>`,
			guess, session.CSRFField, token)
		_ = w.Close()
		return float64(page.Len())
	}
	s, _ := generated(t)
	other, _ := generated(t)
	right, wrong := csrfToken(t, s), csrfToken(t, other)
	if got := length(wrong, right[:guessed]) - length(right, right[:guessed]); got < 8 {
		t.Errorf("a right guess of a constant token makes the page %.0f bytes shorter: this shows nothing", got)
	}
	var learned float64
	for range rounds {
		learned += length(csrfToken(t, other), right[:guessed]) - length(csrfToken(t, s), right[:guessed])
	}
	if learned /= rounds; learned < -0.75 || learned > 0.75 { // of chance alone: 0.1
		t.Errorf("a right guess makes the page %.2f bytes shorter", learned)
	}
}

// Any text but a token of this session is refused, without asking the store.
func TestCSRFTokenMalformed(t *testing.T) {
	faults := &sessiontest.FaultStore{Store: &memory.Store{}}
	s, err := faults.Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	unkeyed := hmac.New(sha256.New, nil).Sum(make([]byte, sha256.Size)) // what hides in one if there is no secret
	for _, early := range []string{"", strings.Repeat("A", 86), base64.RawURLEncoding.EncodeToString(unkeyed)} {
		if !forged(t, s, early) {
			t.Error("accepted before there was any")
		}
	}
	token := csrfToken(t, s)
	other, _ := generated(t)
	bad := map[string]string{
		"empty": "", "zero": strings.Repeat("A", len(token)), "half": token[:43], "short": token[:len(token)-1],
		"longer": token + "A", "twice": token + token, "a megabyte": strings.Repeat(token, 1<<20/len(token)),
		"padded": token + "==", "spaces around": " " + token[1:], "line breaks": token[:len(token)-2] + "\r\n",
		"NUL": "\x00" + token[1:], "another alphabet": "+/" + token[2:], "UTF-8": "é" + token[2:],
		"of another session": csrfToken(t, other),
	}
	for i := range token {
		for _, c := range "A_" {
			if changed := token[:i] + string(c) + token[i+1:]; changed != token {
				bad[fmt.Sprintf("byte %d is %c", i, c)] = changed
			}
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_A"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	bad["bits that say nothing"] = token[:len(token)-1] + alphabet[last+1:last+2]
	faults.Reset(nil)
	for name, token := range bad {
		if !forged(t, s, token) {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, c := range faults.Calls() {
		if c.Op != "Session.Get" { // which shows what was loaded
			t.Errorf("got the call %s", c.Op)
		}
	}
	if forged(t, s, token) {
		t.Error("the token itself is refused")
	}
}

// A token whose last byte is zero is refused without its last characters, also if line
// breaks take their place.
func TestCSRFTokenLineBreaks(t *testing.T) {
	s, _ := generated(t)
	for range 100_000 {
		token := csrfToken(t, s)
		if !strings.HasSuffix(token, "AA") {
			continue
		}
		if !forged(t, s, token[:len(token)-2]+"\r\n") {
			t.Error("accepted")
		}
		return
	}
	t.Error("no token ends in zeros")
}

// Requests that ask for the first token of a session at the same time get tokens that
// all work, also on the session objects of the others.
func TestCSRFTokenFirstTogether(t *testing.T) {
	for range 50 {
		_, load := generated(t)
		sessions := make([]session.Session, 8)
		tokens := make([]string, len(sessions))
		for i := range sessions {
			sessions[i] = load()
		}
		var all sync.WaitGroup
		for i, s := range sessions {
			all.Go(func() { tokens[i] = csrfToken(t, s) })
		}
		all.Wait()
		later := slices.Concat(sessions, []session.Session{load()})
		for _, token := range tokens {
			for _, s := range later {
				if forged(t, s, token) {
					t.Fatal("refused")
				}
			}
		}
	}
}

// If the store fails, or its sessions have no Update, CSRFToken returns the error and
// no token.
func TestCSRFTokenFails(t *testing.T) {
	faults := &sessiontest.FaultStore{Store: &memory.Store{}}
	s, err := faults.Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"Session.Get", "Session.Update"} {
		faults.Reset(func(c sessiontest.Call) sessiontest.Fault {
			if c.Op == op {
				return sessiontest.FailBefore
			}
			return sessiontest.None
		})
		if token, err := session.CSRFToken(t.Context(), s); token != "" || !errors.Is(err, sessiontest.ErrFault) {
			t.Errorf("%s fails: got %d characters, %v", op, len(token), err)
		}
	}
	faults.Reset(func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailBefore })
	if err := session.CheckCSRFToken(t.Context(), s, "x"); !errors.Is(err, sessiontest.ErrFault) {
		t.Errorf("CheckCSRFToken: got %v, want the store's error", err)
	}

	token, err := session.CSRFToken(t.Context(), &webtest.PlainSession{Handle: "plain"})
	if token != "" || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a plain session: got %d characters, %v, want errors.ErrUnsupported", len(token), err)
	}
	if !forged(t, &webtest.PlainSession{Handle: "plain"}, strings.Repeat("A", 86)) {
		t.Error("a plain session accepts a token")
	}
}

// A foreign value under our key is replaced.
func TestCSRFTokenForeignValue(t *testing.T) {
	for _, v := range []any{"text", []byte("short"), []byte{}, 7} {
		s, load := generated(t)
		if err := s.Set(t.Context(), "mist-contrib/session.csrf", v); err != nil {
			t.Fatal(err)
		}
		if !forged(t, s, strings.Repeat("A", 86)) {
			t.Errorf("%T: accepted before there was any", v)
		}
		if token := csrfToken(t, s); forged(t, load(), token) {
			t.Errorf("%T: refused", v)
		}
		if got, err := load().Get(t.Context(), "mist-contrib/session.csrf"); err != nil || len(got.([]byte)) != 32 {
			t.Errorf("%T: it was taken for a secret, %v", v, err)
		}
	}
}

// T-C3 and T-C7, R42: a token belongs to one session and one login. It stays valid over
// renewal and writes. A login and the end of the session void it.
func TestCSRFTokenOverLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		alice, bob := &webtest.Browser{}, &webtest.Browser{}
		alice.BeginNamed(t, m, "alice")
		bob.BeginNamed(t, m, "bob")
		token := func(b *webtest.Browser) (token string) {
			b.Visit(t, func(ctx *mist.Context) { token = csrfToken(t, webtest.Loaded(t, m, ctx)) })
			return token
		}
		refused := func(b *webtest.Browser, token string) (refused bool) {
			b.Visit(t, func(ctx *mist.Context) { refused = forged(t, webtest.Loaded(t, m, ctx), token) })
			return refused
		}
		doing := func(b *webtest.Browser, flow func(ctx *mist.Context) error) {
			time.Sleep(time.Second)
			b.Do(t, flow)
		}

		anonymous := token(alice)
		if !refused(bob, anonymous) {
			t.Error("another session accepts it")
		}
		doing(alice, webtest.LogIn(m, "alice"))
		if !refused(alice, anonymous) {
			t.Error("one from before the login is accepted after it")
		}
		before := token(alice)
		doing(alice, m.RotateSession)
		doing(alice, m.RefreshSession)
		doing(alice, func(ctx *mist.Context) error {
			return webtest.Loaded(t, m, ctx).Set(ctx.Request.Context(), "k", "v")
		})
		if refused(alice, before) {
			t.Error("one from before a renewal is refused after it")
		}
		doing(alice, webtest.Reauthenticate(m))
		if !refused(alice, before) {
			t.Error("one from before the second login is accepted after it")
		}

		last := token(alice)
		stale := alice.Tab()
		doing(alice, m.RemoveSession)
		stale.Visit(t, func(ctx *mist.Context) {
			if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("after logout: got %v", err)
			}
		})
		doing(alice, webtest.LogIn(m, "alice"))
		if !refused(alice, last) || !refused(alice, before) || !refused(alice, anonymous) {
			t.Error("one from before the logout is accepted after the next login")
		}
	})
}

// TestRequireCSRFDevices: the two requests of a browser that binds a session need no
// token. All other requests need one, and so do these two if DeviceBound is not set.
func TestRequireCSRFDevices(t *testing.T) {
	for _, c := range []struct {
		path  string
		bound time.Duration
		want  int
	}{
		{"/dbsc/register", 0, 403},
		{"/dbsc/register", time.Minute, 200},
		{"/dbsc/refresh", time.Minute, 200},
		{"/dbsc", time.Minute, 403},
		{"/dbsc/register/", time.Minute, 403},
		{"/x/dbsc/register", time.Minute, 403},
	} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-session"}, DeviceBound: c.bound}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "ada")
		status, ran := post(t, b, m, nil, func(r *http.Request) { r.URL.Path = c.path }, nil)
		if status != c.want || ran != (c.want == 200) {
			t.Errorf("%s, bound for %v: got status %d, handler ran %t, want %d", c.path, c.bound, status, ran, c.want)
		}
	}
}
