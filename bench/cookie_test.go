// Package bench_test measures sessions that the client keeps beside those of
// gorilla/sessions, with the same values and in one run.
package bench_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"
	"github.com/google/uuid"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/sealed"
)

const (
	name = "__Host-Http-session" // of every cookie here

	// maxBytes is the goal for the value of a cookie that holds the five values.
	maxBytes = 300

	// faster is how many times as fast as gorilla a sealed session has to be.
	faster = 5

	gob = "gorilla-gob"
)

// values is what every session here holds.
func values() map[string]any {
	return map[string]any{"theme": "dark", "lang": "en", "visits": 42, "beta": true, "seen": int64(1_764_000_000)}
}

var keys = []string{"theme", "lang", "visits", "beta", "seen"}

// A contestant does the work of one request: it opens a session, reads the five values,
// writes one of them and seals the session again.
type contestant struct {
	name   string
	carry  string // the cookie's value
	cookie func(carried string) (string, error)
}

// codecs returns contestants that turn the value of a cookie into that of the next.
func codecs(tb testing.TB) []contestant {
	tb.Helper()
	return []contestant{
		sealedCodec(tb),
		gorillaCodec(tb, gob, securecookie.GobEncoder{}),
		gorillaCodec(tb, "gorilla-json", securecookie.JSONEncoder{}),
	}
}

func sealedCodec(tb testing.TB) contestant {
	tb.Helper()
	ctx := tb.Context()
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	s, err := st.Generate(ctx, uuid.NewString())
	if err == nil {
		err = session.SetAll(ctx, s, values())
	}
	if err != nil {
		tb.Fatal(err)
	}
	return contestant{"sealed", session.Token(s), func(carried string) (string, error) {
		s, err := st.Open(ctx, carried)
		if err != nil {
			return "", err
		}
		if err := visit(ctx, s); err != nil {
			return "", err
		}
		return session.Token(s), nil
	}}
}

// visit reads all values and writes one.
func visit(ctx context.Context, s session.Session) error {
	visits := 0
	for _, key := range keys {
		v, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if n, ok := v.(int); ok {
			visits = n
		}
	}
	return s.Set(ctx, "visits", visits%100+1)
}

func gorillaCodec(tb testing.TB, name string, sz securecookie.Serializer) contestant {
	tb.Helper()
	sc := securecookie.New(securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32)).SetSerializer(sz)
	carry, err := sc.Encode(name, values())
	if err != nil {
		tb.Fatal(err)
	}
	return contestant{name, carry, func(carried string) (string, error) {
		var all map[string]any
		if err := sc.Decode(name, carried, &all); err != nil {
			return "", err
		}
		visits := 0
		for _, key := range keys {
			switch n := all[key].(type) {
			case int:
				visits = n
			case float64:
				visits = int(n)
			}
		}
		all["visits"] = visits%100 + 1
		return sc.Encode(name, all)
	}}
}

// requests returns contestants that work with requests and responses, as an application
// does. The JSON serializer is missing: it refuses the sessions of gorilla, whose keys are
// of any type.
func requests(tb testing.TB) []contestant {
	tb.Helper()
	return []contestant{sealedRequest(tb), gorillaRequest(tb)}
}

func sealedRequest(tb testing.TB) contestant {
	tb.Helper()
	m := &session.Manager{Store: &sealed.Store{Keys: [][]byte{sealed.NewKey()}}, Propagator: &cookie.Propagator{Name: name}}
	serve := func(r *http.Request, open func(*mist.Context) (session.Session, error), work func(context.Context, session.Session) error) (string, error) {
		w := response{}
		ctx := &mist.Context{Request: r, ResponseWriter: w}
		s, err := open(ctx)
		if err == nil {
			err = work(r.Context(), s)
		}
		return w.cookie(), err
	}
	var browser client
	carry, err := serve(browser.request(""), m.InitSession, func(ctx context.Context, s session.Session) error {
		return session.SetAll(ctx, s, values())
	})
	if err != nil {
		tb.Fatal(err)
	}
	return contestant{"sealed", carry, func(carried string) (string, error) {
		return serve(browser.request(carried), m.GetSession, visit)
	}}
}

func gorillaRequest(tb testing.TB) contestant {
	tb.Helper()
	st := sessions.NewCookieStore(securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32))
	serve := func(r *http.Request, work func(s *sessions.Session)) (string, error) {
		w := response{}
		s, err := st.Get(r, name)
		if err == nil {
			work(s)
			err = st.Save(r, w, s)
		}
		return w.cookie(), err
	}
	var browser client
	carry, err := serve(browser.request(""), func(s *sessions.Session) {
		for key, v := range values() {
			s.Values[key] = v
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return contestant{gob, carry, func(carried string) (string, error) {
		return serve(browser.request(carried), func(s *sessions.Session) {
			visits := 0
			for _, key := range keys {
				if n, ok := s.Values[key].(int); ok {
					visits = n
				}
			}
			s.Values["visits"] = visits%100 + 1
		})
	}}
}

// A client sends requests. It keeps the last one, because net/http makes requests, and
// no session does.
type client struct {
	carried string
	last    http.Request
}

// request returns a request that carries a session, or none.
func (c *client) request(carried string) *http.Request {
	if c.carried != carried {
		c.carried = carried
		c.last = http.Request{Method: http.MethodGet, Header: http.Header{"Cookie": {name + "=" + carried}}}
	}
	r := c.last // gorilla changes the request
	return &r
}

// response is a response writer that costs nothing.
type response http.Header

func (w response) Header() http.Header         { return http.Header(w) }
func (w response) Write(p []byte) (int, error) { return len(p), nil }
func (w response) WriteHeader(int)             {}

// cookie returns the value of the cookie that was set.
func (w response) cookie() string {
	if len(w["Set-Cookie"]) != 1 {
		return ""
	}
	pair, _, _ := strings.Cut(w["Set-Cookie"][0], ";")
	_, value, _ := strings.Cut(pair, "=")
	return value
}

// levels are the kinds of work that are compared.
func levels(tb testing.TB) map[string][]contestant {
	tb.Helper()
	return map[string][]contestant{"codec": codecs(tb), "request": requests(tb)}
}

// TestBytes: the cookie with the five values is short, and each request gives the next
// one a cookie.
func TestBytes(t *testing.T) {
	for level, all := range levels(t) {
		for _, c := range all {
			carried := c.carry
			for range 3 {
				next, err := c.cookie(carried)
				if err != nil || next == "" || next == carried {
					t.Fatalf("%s/%s: got %q, %v, want another cookie", level, c.name, next, err)
				}
				carried = next
			}
			t.Logf("%s/%s: %d bytes", level, c.name, len(carried))
			if c.name == "sealed" && len(carried) > maxBytes {
				t.Errorf("%s: got %d bytes, want at most %d", level, len(carried), maxBytes)
			}
		}
	}
}

// BenchmarkCookie is each contestant by itself.
func BenchmarkCookie(b *testing.B) {
	for level, all := range levels(b) {
		for _, c := range all {
			b.Run("level="+level+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.cookie(c.carry); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(c.carry)), "cookie-bytes")
			})
		}
	}
}

// BenchmarkRatio tells how many times as long as a sealed session each other takes: the
// median of rounds in which all take turns, so that a slow machine slows all of them. It
// fails if opening and sealing misses the goal; gob is the only serializer that works in
// gorilla's cookie store.
func BenchmarkRatio(b *testing.B) {
	const rounds, repeat = 25, 1000
	for level, all := range levels(b) {
		b.Run("level="+level, func(b *testing.B) {
			ratios := make([][]float64, len(all))
			for b.Loop() {
				for range rounds {
					var first time.Duration
					for i, c := range all {
						start := time.Now()
						for range repeat {
							if _, err := c.cookie(c.carry); err != nil {
								b.Fatal(err)
							}
						}
						took := time.Since(start)
						if i == 0 {
							first = took
						}
						ratios[i] = append(ratios[i], float64(took)/float64(first))
					}
				}
			}
			b.ReportMetric(0, "ns/op") // hides the time of all together
			for i, c := range all[1:] {
				slices.Sort(ratios[i+1])
				ratio := ratios[i+1][len(ratios[i+1])/2]
				b.ReportMetric(ratio, c.name+"/sealed")
				if level == "codec" && c.name == gob && ratio < faster {
					b.Errorf("%s: takes %.1f times as long as sealed, want %d", c.name, ratio, faster)
				}
			}
		})
	}
}
