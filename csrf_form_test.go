package session_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// A form that is too large or incomplete gets a status of its own and causes no event,
// because its token may have been right. A complete form without a token is forged.
func TestRequireCSRFUnreadableForm(t *testing.T) {
	var (
		events []session.EventKind
		cause  error // as ErrorHandler gets it
	)
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	var token string
	b.Visit(t, func(ctx *mist.Context) { token = csrfToken(t, webtest.Loaded(t, m, ctx)) })
	m.OnEvent = func(_ context.Context, e session.Event) { events = append(events, e.Kind) }
	handled := &session.Manager{Store: m.Store, Propagator: m.Propagator, ErrorHandler: func(_ *mist.Context, err error) { cause = err }}

	good := url.Values{session.CSRFField: {token}}.Encode()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField("other", strings.Repeat("a", 100))
	_ = w.WriteField(session.CSRFField, token)
	_ = w.Close()
	multi := w.FormDataContentType()
	limit := func(r *http.Request, n int64) { r.Body = http.MaxBytesReader(nil, r.Body, n) }
	reset := errors.New("connection reset")

	for name, test := range map[string]struct {
		edit   func(r *http.Request)
		status int
		cause  error
	}{
		"urlencoded over the limit": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, "a="+strings.Repeat("a", 100)+"&"+good)
			limit(r, 50)
		}, 413, nil},
		"multipart over the limit": {func(r *http.Request) {
			webtest.SetForm(r, multi, body.String())
			limit(r, 50)
		}, 413, nil},
		"over the limit without a token": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, "a="+strings.Repeat("a", 100))
			limit(r, 50)
		}, 413, nil},
		"urlencoded over net/http's limit": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, "a="+strings.Repeat("a", 11<<20)+"&"+good)
		}, 413, nil},
		"multipart over net/http's limit": {func(r *http.Request) {
			var body bytes.Buffer
			w := multipart.NewWriter(&body)
			_ = w.WriteField("a", strings.Repeat("a", 43<<20))
			_ = w.WriteField(session.CSRFField, token)
			_ = w.Close()
			webtest.SetForm(r, w.FormDataContentType(), body.String())
			r.ContentLength = -1
		}, 413, multipart.ErrMessageTooLarge},
		"urlencoded that breaks off": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, good)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("a=a&"), iotest.ErrReader(reset)))
		}, 400, reset},
		"multipart that breaks off": {func(r *http.Request) {
			webtest.SetForm(r, multi, body.String())
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body.String()[:60]), iotest.ErrReader(reset)))
		}, 400, reset},
		"an unlimited form behind a high limit": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, "a="+strings.Repeat("a", 11<<20)+"&"+good)
			limit(r, 1<<30)
		}, 200, nil},
		"a token and a malformed query": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, good)
			r.URL.RawQuery = "a=%zz"
		}, 200, nil},
		"a malformed query": {func(r *http.Request) {
			webtest.SetForm(r, webtest.FormType, "a=a")
			r.URL.RawQuery = "a=%zz"
		}, 403, session.ErrForged},
		"a malformed form":         {func(r *http.Request) { webtest.SetForm(r, webtest.FormType, "a=%zz") }, 403, session.ErrForged},
		"multipart without an end": {func(r *http.Request) { webtest.SetForm(r, multi, body.String()[:60]) }, 403, session.ErrForged},
		"multipart of no boundary": {func(r *http.Request) { webtest.SetForm(r, "multipart/form-data", body.String()) }, 403, session.ErrForged},
		"a malformed type":         {func(r *http.Request) { webtest.SetForm(r, "nonsense/", good) }, 403, session.ErrForged},
		"no body":                  {func(r *http.Request) { r.Header.Set("Content-Type", webtest.FormType); r.Body = nil }, 403, session.ErrForged},
	} {
		events, cause = nil, nil
		status, ran := post(t, b, m, nil, test.edit, nil)
		if status != test.status || ran != (test.status == 200) {
			t.Errorf("%s: got status %d, through %t, want %d", name, status, ran, test.status)
		}
		if forged := test.status == 403; forged != (len(events) == 1 && events[0] == session.EventForged) || !forged && len(events) > 0 {
			t.Errorf("%s: got events %v", name, events)
		}
		if test.status == 200 {
			continue
		}
		_, _ = post(t, b, handled, nil, test.edit, nil)
		var limit *http.MaxBytesError
		if test.cause != nil && !errors.Is(cause, test.cause) || strings.Contains(name, "the limit") && !errors.As(cause, &limit) {
			t.Errorf("%s: ErrorHandler got %v", name, cause)
		}
		if errors.Is(cause, session.ErrForged) != (test.status == 403) || errors.Is(cause, session.ErrNotFound) {
			t.Errorf("%s: ErrorHandler got %v", name, cause)
		}
	}
}

// The same over a connection, with http.MaxBytesHandler around mist.
func TestRequireCSRFLimitOverHTTP(t *testing.T) {
	var (
		mu    sync.Mutex
		kinds []session.EventKind
	)
	m, _ := webtest.ManagerFor(false)
	m.OnEvent = func(_ context.Context, e session.Event) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, e.Kind)
	}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware(), m.RequireCSRF(nil))
	server.GET("/form", func(ctx *mist.Context) {
		s, err := m.InitSession(ctx)
		if err != nil {
			t.Errorf("InitSession: %v", err)
			return
		}
		ctx.RespData = []byte(csrfToken(t, s))
	})
	server.POST("/", func(ctx *mist.Context) { ctx.RespStatusCode = http.StatusNoContent })
	s := webtest.Listen(t, false, http.MaxBytesHandler(server, 1<<10))
	c := s.Visitor(t)
	_, token := s.Fetch(t, c, "/form")
	for size, want := range map[int]int{10: http.StatusNoContent, 4 << 10: http.StatusRequestEntityTooLarge} {
		form := url.Values{"a": {strings.Repeat("a", size)}, session.CSRFField: {token}}.Encode()
		if got := s.Post(t, c, webtest.FormType, []byte(form)); got != want {
			t.Errorf("a form of %d bytes: got status %d, want %d", len(form), got, want)
		}
	}

	// A visitor who leaves in the middle of a form causes no event.
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	at, _ := url.Parse(s.URL)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+webtest.FormType+"\r\nContent-Length: 100\r\nCookie: "+
		c.Jar.Cookies(at)[0].String()+"\r\n\r\na=b&")
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(conn)
	_ = conn.Close()
	if want := "HTTP/1.1 400 "; !strings.HasPrefix(string(answer), want) {
		t.Errorf("a form that breaks off: got %.40q, want %q", answer, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(kinds) != 1 || kinds[0] != session.EventCreated {
		t.Errorf("got events %v, want one of the session made", kinds)
	}
}

// A Chain serves browsers and programs. No other site can send a header, so a session
// from a header needs no token. A session from a cookie needs one, whatever headers the
// request has.
func TestRequireCSRFOfAChain(t *testing.T) {
	bearer := &header.Propagator{}
	for name, test := range map[string]struct {
		propagator session.Propagator
		cookie     bool
		header     string // "good", "bad" or none
		site       string // Sec-Fetch-Site
		status     int
	}{
		"a program":                               {session.Chain{&cookie.Propagator{}, bearer}, false, "good", "", 200},
		"a page elsewhere, by CORS":               {session.Chain{&cookie.Propagator{}, bearer}, false, "good", "cross-site", 200},
		"a header alone":                          {bearer, false, "good", "", 200},
		"a wrapped header":                        {passingPropagator{bearer}, false, "good", "", 200},
		"a header that a gateway makes":           {gateway{bearer}, false, "good", "", 403},
		"an unknown token in the header":          {session.Chain{&cookie.Propagator{}, bearer}, false, "bad", "", 200},
		"an unknown one from elsewhere":           {session.Chain{&cookie.Propagator{}, bearer}, false, "bad", "cross-site", 403},
		"a browser":                               {session.Chain{&cookie.Propagator{}, bearer}, true, "", "same-origin", 403},
		"a browser with a good header":            {session.Chain{&cookie.Propagator{}, bearer}, true, "good", "same-origin", 403},
		"a browser with a bad header":             {session.Chain{&cookie.Propagator{}, bearer}, true, "bad", "same-origin", 403},
		"a bad header before a cookie":            {session.Chain{bearer, &cookie.Propagator{}}, true, "bad", "same-origin", 200}, // as nobody
		"a bad header before a cookie, elsewhere": {session.Chain{bearer, &cookie.Propagator{}}, true, "bad", "cross-site", 403},
		"a good header before a cookie":           {session.Chain{bearer, &cookie.Propagator{}}, true, "good", "same-origin", 200},
		"a header of another scheme":              {session.Chain{bearer, &cookie.Propagator{}}, true, "basic", "same-origin", 403},
	} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: test.propagator}
		b := &webtest.Browser{}
		cookies := &session.Manager{Store: m.Store, Propagator: &cookie.Propagator{}}
		b.BeginNamed(t, cookies, "alice")
		token := b.Cookies[webtest.CookieName]
		if !test.cookie {
			b.Cookies = nil
		}
		status, _ := post(t, b, m, nil, func(r *http.Request) {
			switch test.header {
			case "good":
				r.Header.Set("Authorization", "Bearer "+token)
			case "bad":
				r.Header.Set("Authorization", "Bearer unknown.ABCDEFGHIJKLMNOPQRSTUVWXYZ")
			case "basic":
				r.Header.Set("Authorization", "Basic "+token)
			}
			r.Header.Set("Sec-Fetch-Site", test.site)
		}, func(ctx *mist.Context) {
			who, _ := webtest.NameOf(ctx, m)
			if want := map[bool]string{true: "alice"}[test.header == "good"]; who != want {
				t.Errorf("%s: the handler sees %q, want %q", name, who, want)
			}
		})
		if status != test.status {
			t.Errorf("%s: got status %d, want %d", name, status, test.status)
		}
	}

	t.Run("what the application put there came by no header", func(t *testing.T) {
		m := &session.Manager{Store: &memory.Store{}, Propagator: bearer}
		byHand, err := m.Generate(t.Context(), "by-hand")
		if err != nil {
			t.Fatal(err)
		}
		status, ran := post(t, &webtest.Browser{}, m, nil, func(*http.Request) {}, nil)
		if !ran || status != 200 {
			t.Errorf("nobody: got status %d", status)
		}
		resp := (&webtest.Browser{}).Answer(t.Context(), func(ctx *mist.Context) {
			ctx.Request.Method = http.MethodPost
			ctx.UserValues = map[string]any{"session": byHand}
			m.RequireCSRF(nil)(func(*mist.Context) { t.Error("it got through") })(ctx)
		})
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("got status %d, want 403", resp.StatusCode)
		}
	})
}

// A passingPropagator has no capability.
type passingPropagator struct{ session.Propagator }

func (p passingPropagator) Unwrap() session.Propagator { return p.Propagator }

// A gateway is a propagator whose header is made from a cookie on the way.
type gateway struct{ *header.Propagator }

func (gateway) Explicit() bool { return false }
