package session_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// passing hides a writer like a middleware that only counts bytes.
type passing struct{ http.ResponseWriter }

func (w passing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writes are the ways in which a header gets out, or does not.
var writes = []struct {
	name string
	out  bool
	do   func(ctx *mist.Context)
}{
	{"nothing", false, func(*mist.Context) {}},
	{"Header", false, func(ctx *mist.Context) { ctx.Header("X-Test", "1") }},
	{"RespData", false, func(ctx *mist.Context) { ctx.RespData = []byte("later") }},
	{"Write", true, func(ctx *mist.Context) { _, _ = ctx.ResponseWriter.Write([]byte("x")) }},
	{"Write of nothing", true, func(ctx *mist.Context) { _, _ = ctx.ResponseWriter.Write(nil) }},
	{"WriteString", true, func(ctx *mist.Context) { _, _ = io.WriteString(ctx.ResponseWriter, "x") }},
	{"WriteHeader 200", true, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusOK) }},
	{"WriteHeader 304", true, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusNotModified) }},
	{"WriteHeader 500", true, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusInternalServerError) }},
	{"WriteHeader 103", false, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(http.StatusEarlyHints) }},
	{"WriteHeader 102 twice", false, func(ctx *mist.Context) {
		ctx.ResponseWriter.WriteHeader(http.StatusProcessing)
		ctx.ResponseWriter.WriteHeader(http.StatusProcessing)
	}},
	{"Flush", true, func(ctx *mist.Context) { ctx.ResponseWriter.(http.Flusher).Flush() }},
	{"ResponseController.Flush", true, func(ctx *mist.Context) {
		_ = http.NewResponseController(ctx.ResponseWriter).Flush()
	}},
	{"ResponseController.Flush through a wrapper", true, func(ctx *mist.Context) {
		_ = http.NewResponseController(passing{ctx.ResponseWriter}).Flush()
	}},
	{"io.Copy", true, func(ctx *mist.Context) { _, _ = io.Copy(ctx.ResponseWriter, onlyReader{strings.NewReader("x")}) }},
	{"io.Copy of nothing", false, func(ctx *mist.Context) { _, _ = io.Copy(ctx.ResponseWriter, onlyReader{strings.NewReader("")}) }},
	{"io.Copy of what fails", false, func(ctx *mist.Context) {
		_, _ = io.Copy(ctx.ResponseWriter, iotest.ErrReader(errors.New("disk")))
	}},
	{"Write, then io.Copy of nothing", true, func(ctx *mist.Context) {
		_, _ = ctx.ResponseWriter.Write([]byte("x"))
		_, _ = io.Copy(ctx.ResponseWriter, onlyReader{strings.NewReader("")})
	}},
	{"RespondWithJSON", true, func(ctx *mist.Context) { _ = ctx.RespondWithJSON(http.StatusOK, 1) }},
	{"AbortWithStatus", true, func(ctx *mist.Context) { ctx.AbortWithStatus(http.StatusForbidden) }},
	{"http.Redirect", true, func(ctx *mist.Context) {
		http.Redirect(ctx.ResponseWriter, ctx.Request, "/", http.StatusFound)
	}},
	{"http.Error", true, func(ctx *mist.Context) { http.Error(ctx.ResponseWriter, "no", http.StatusTeapot) }},
	{"http.ServeContent", true, func(ctx *mist.Context) {
		http.ServeContent(ctx.ResponseWriter, ctx.Request, "a.txt", time.Time{}, strings.NewReader("x"))
	}},
	{"SetWriteDeadline", false, func(ctx *mist.Context) {
		_ = http.NewResponseController(ctx.ResponseWriter).SetWriteDeadline(time.Now().Add(time.Hour))
	}},
}

// onlyReader hides WriteTo, so that io.Copy uses ReadFrom.
type onlyReader struct{ io.Reader }

// A cookie that could not arrive is an error, and nothing is done for it.
func TestErrHeaderWritten(t *testing.T) {
	for protocol, h2 := range protocols {
		for _, write := range writes {
			t.Run(protocol+"/"+write.name, func(t *testing.T) {
				m, rec := managerFor(h2)
				s := serve(t, h2, m.Middleware())
				loginAndWho(s.mist, m)
				var (
					err   error
					calls string
				)
				s.mist.GET("/late", func(ctx *mist.Context) {
					write.do(ctx)
					rec.take()
					_, err = m.InitSession(ctx)
					calls = rec.take()
				})
				c := s.client(t)
				resp, _ := s.fetch(t, c, "/late")
				arrived := len(resp.Cookies()) == 1
				_, who := s.fetch(t, c, "/who")
				if write.out {
					if !errors.Is(err, session.ErrHeaderWritten) || calls != "" || arrived || who != anonymous {
						t.Errorf("got %v, calls %q, a cookie %t, and then %q, want ErrHeaderWritten and nothing else", err, calls, arrived, who)
					}
				} else if err != nil || calls != "Generate inject" || !arrived || who != "" {
					t.Errorf("got %v, calls %q, a cookie %t, and then %q, want a login", err, calls, arrived, who)
				}
			})
		}
	}
}

func TestErrHeaderWrittenFlows(t *testing.T) {
	for _, test := range []struct {
		flow  string
		calls string
		err   error
		then  string // who the visitor is afterwards
	}{
		{"InitSession", "", session.ErrHeaderWritten, "alice"},
		{"GetSession", "extract Open", nil, "alice"},
		{"RefreshSession", "extract Open Refresh", session.ErrHeaderWritten, "alice"},
		{"RotateSession", "extract Open", session.ErrHeaderWritten, "alice"},
		{"RemoveSession", "extract Open Remove", session.ErrHeaderWritten, ""},
	} {
		t.Run(test.flow, func(t *testing.T) {
			m, rec := spied()
			m.Propagator = &spyPropagator{Propagator: &cookie.Propagator{MaxAge: time.Hour}, recorder: rec}
			b := &browser{}
			b.login(t, m, "alice")
			rec.take()
			i := slices.IndexFunc(flows, func(f flow) bool { return f.name == test.flow })
			header := b.visit(t, through(func(ctx *mist.Context) {
				ctx.ResponseWriter.WriteHeader(http.StatusOK)
				if err := flows[i].call(m, ctx); !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
				if got := setCookies(ctx.ResponseWriter.Header()); got != nil {
					t.Errorf("got Set-Cookie %q in a header that is out", got)
				}
			}, m.Middleware(), func(next mist.HandleFunc) mist.HandleFunc {
				return func(ctx *mist.Context) { // a wrapper around ours does not hide it
					ctx.ResponseWriter = passing{ctx.ResponseWriter}
					next(ctx)
				}
			}))
			if got := rec.take(); got != test.calls {
				t.Errorf("got calls %q, want %q", got, test.calls)
			}
			if got := setCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
			b.is(t, m, test.then)
		})
	}
}

// The Middleware's writer changes nothing of a response.
func TestWriterIsTransparent(t *testing.T) {
	handlers := map[string]mist.HandleFunc{
		"two statuses": func(ctx *mist.Context) {
			ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
			ctx.ResponseWriter.WriteHeader(http.StatusOK)
		},
		"1xx, then a status": func(ctx *mist.Context) {
			ctx.Header("Link", "</style.css>; rel=preload")
			ctx.ResponseWriter.WriteHeader(http.StatusEarlyHints)
			ctx.ResponseWriter.WriteHeader(http.StatusAccepted)
		},
		"a status, then 1xx": func(ctx *mist.Context) {
			ctx.ResponseWriter.WriteHeader(http.StatusAccepted)
			ctx.ResponseWriter.WriteHeader(http.StatusEarlyHints)
		},
		"a status after a copy of nothing": func(ctx *mist.Context) {
			_, _ = io.Copy(ctx.ResponseWriter, onlyReader{strings.NewReader("")})
			http.Error(ctx.ResponseWriter, "empty", http.StatusNotFound)
		},
		"a status after a copy of what fails": func(ctx *mist.Context) {
			if _, err := io.Copy(ctx.ResponseWriter, iotest.ErrReader(errors.New("disk"))); err != nil {
				http.Error(ctx.ResponseWriter, "disk", http.StatusBadGateway)
			}
		},
		"a long copy": func(ctx *mist.Context) {
			_, _ = io.Copy(ctx.ResponseWriter, onlyReader{strings.NewReader(strings.Repeat("long ", 1<<16))})
		},
		"a range": func(ctx *mist.Context) {
			ctx.Request.Header.Set("Range", "bytes=2-4")
			http.ServeContent(ctx.ResponseWriter, ctx.Request, "a.txt", time.Time{}, strings.NewReader("0123456789"))
		},
		"a trailer": func(ctx *mist.Context) {
			ctx.Header("Trailer", "X-Sum")
			_, _ = io.WriteString(ctx.ResponseWriter, "body")
			ctx.Header("X-Sum", "42")
		},
		"data and status of mist": func(ctx *mist.Context) {
			ctx.RespStatusCode, ctx.RespData = http.StatusCreated, []byte("created")
		},
		"a length": func(ctx *mist.Context) {
			ctx.Header("Content-Length", "3")
			_, _ = io.WriteString(ctx.ResponseWriter, "abc")
		},
	}
	for _, write := range writes {
		handlers[write.name] = write.do
	}
	for protocol, h2 := range protocols {
		m, _ := managerFor(h2)
		bare, wrapped := serve(t, h2), serve(t, h2, m.Middleware())
		for name, handler := range handlers {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				path := "/" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
				bare.mist.GET(path, handler)
				wrapped.mist.GET(path, handler)
				want, got := observe(t, bare, path), observe(t, wrapped, path)
				if got != want {
					t.Errorf("got\n%s\nwant, as without the Middleware,\n%s", got, want)
				}
				if got := wrapped.complaints(); got != "" {
					t.Errorf("net/http complains: %s", got)
				}
				bare.complaints() // mist itself gives reason enough
			})
		}
	}
}

// observe describes all that a client sees of a response.
func observe(t *testing.T, s *site, path string) string {
	t.Helper()
	var out strings.Builder
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		fmt.Fprintln(&out, code, h)
		return nil
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	resp, err := s.client(t).Do(req)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	resp.Header.Del("Date")
	fmt.Fprintln(&out, resp.StatusCode, resp.Header, resp.ContentLength, resp.TransferEncoding, resp.Trailer, len(body), err)
	if len(body) < 100 {
		fmt.Fprintf(&out, "%s\n", body)
	}
	return out.String()
}

// bare is a response writer with nothing but the three methods.
type bare struct {
	header http.Header
	calls  []string
}

func (w *bare) Header() http.Header { return w.header }

func (w *bare) Write(p []byte) (int, error) { w.calls = append(w.calls, "Write"); return len(p), nil }

func (w *bare) WriteHeader(code int) { w.calls = append(w.calls, fmt.Sprint(code)) }

// full has all that net/http's has.
type full struct{ bare }

func (w *full) ReadFrom(r io.Reader) (int64, error) {
	w.calls = append(w.calls, "ReadFrom")
	return io.Copy(io.Discard, r)
}

func (w *full) FlushError() error { w.calls = append(w.calls, "Flush"); return nil }

func (w *full) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.calls = append(w.calls, "Hijack")
	return nil, nil, nil
}

func (w *full) SetReadDeadline(time.Time) error  { w.calls = append(w.calls, "Read"); return nil }
func (w *full) SetWriteDeadline(time.Time) error { w.calls = append(w.calls, "Deadline"); return nil }
func (w *full) EnableFullDuplex() error          { w.calls = append(w.calls, "Duplex"); return nil }

func TestWriterCapabilities(t *testing.T) {
	m, _ := spied()
	use := func(w http.ResponseWriter, handler func(w http.ResponseWriter, c *http.ResponseController)) {
		through(func(ctx *mist.Context) {
			handler(ctx.ResponseWriter, http.NewResponseController(ctx.ResponseWriter))
		}, m.Middleware())(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w})
	}

	t.Run("all of them pass through", func(t *testing.T) {
		w := &full{}
		use(w, func(w http.ResponseWriter, c *http.ResponseController) {
			_, copied := io.Copy(w, onlyReader{strings.NewReader("x")})
			_, _, hijacked := c.Hijack()
			for i, err := range []error{
				copied, c.Flush(), hijacked, c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}), c.EnableFullDuplex(),
			} {
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
		if got, want := strings.Join(w.calls, " "), "ReadFrom Hijack Flush Read Deadline Duplex"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
	})

	t.Run("none is invented", func(t *testing.T) {
		w := &bare{header: make(http.Header)}
		use(w, func(out http.ResponseWriter, c *http.ResponseController) {
			_, _, hijacked := c.Hijack()
			for i, err := range []error{c.Flush(), hijacked, c.SetReadDeadline(time.Time{}), c.EnableFullDuplex()} {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%d: got %v, want ErrUnsupported", i, err)
				}
			}
			if f, ok := out.(http.Flusher); ok {
				f.Flush()
			}
			// What did not work has sent no header.
			ctx := &mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: out}
			if _, err := m.InitSession(ctx); err != nil {
				t.Errorf("InitSession: %v", err)
			}
		})
		if w.calls != nil {
			t.Errorf("got calls %q, want none", w.calls)
		}
	})
}
