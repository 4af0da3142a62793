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
	"github.com/mist-contrib/session/internal/webtest"
)

// If a cookie could not arrive, the call fails and does nothing.
func TestErrHeaderWritten(t *testing.T) {
	for protocol, h2 := range webtest.Protocols {
		for _, write := range webtest.Writes {
			t.Run(protocol+"/"+write.Name, func(t *testing.T) {
				m, rec := webtest.ManagerFor(h2)
				s := webtest.Serve(t, h2, m.Middleware())
				webtest.LoginAndWho(s.Mist, m)
				var (
					err   error
					calls string
				)
				s.Mist.GET("/late", func(ctx *mist.Context) {
					write.Do(ctx)
					rec.Take()
					_, err = m.InitSession(ctx)
					calls = rec.Take()
				})
				c := s.Visitor(t)
				resp, _ := s.Fetch(t, c, "/late")
				arrived := len(resp.Cookies()) == 1
				_, who := s.Fetch(t, c, "/who")
				if write.Out {
					if !errors.Is(err, session.ErrHeaderWritten) || calls != "" || arrived || who != webtest.Anonymous {
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
			m, rec := webtest.Spied()
			m.Propagator = &webtest.SpyPropagator{Propagator: &cookie.Propagator{MaxAge: time.Hour}, Recorder: rec}
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			rec.Take()
			i := slices.IndexFunc(webtest.Flows, func(f webtest.Flow) bool { return f.Name == test.flow })
			header := b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
				ctx.ResponseWriter.WriteHeader(http.StatusOK)
				if err := webtest.Flows[i].Call(m, ctx); !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
				if got := webtest.SetCookies(ctx.ResponseWriter.Header()); got != nil {
					t.Errorf("got Set-Cookie %q in a header that is out", got)
				}
			}, m.Middleware(), func(next mist.HandleFunc) mist.HandleFunc {
				return func(ctx *mist.Context) { // a wrapper around ours does not hide it
					ctx.ResponseWriter = webtest.UnwrappingWriter{ResponseWriter: ctx.ResponseWriter}
					next(ctx)
				}
			}))
			if got := rec.Take(); got != test.calls {
				t.Errorf("got calls %q, want %q", got, test.calls)
			}
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
			b.Is(t, m, test.then)
		})
	}
}

// The Middleware's writer does not change a response.
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
			_, _ = io.Copy(ctx.ResponseWriter, webtest.OnlyReader{Reader: strings.NewReader("")})
			http.Error(ctx.ResponseWriter, "empty", http.StatusNotFound)
		},
		"a status after a copy of what fails": func(ctx *mist.Context) {
			if _, err := io.Copy(ctx.ResponseWriter, iotest.ErrReader(errors.New("disk"))); err != nil {
				http.Error(ctx.ResponseWriter, "disk", http.StatusBadGateway)
			}
		},
		"a long copy": func(ctx *mist.Context) {
			_, _ = io.Copy(ctx.ResponseWriter, webtest.OnlyReader{Reader: strings.NewReader(strings.Repeat("long ", 1<<16))})
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
	for _, write := range webtest.Writes {
		handlers[write.Name] = write.Do
	}
	for protocol, h2 := range webtest.Protocols {
		m, _ := webtest.ManagerFor(h2)
		bare, wrapped := webtest.Serve(t, h2), webtest.Serve(t, h2, m.Middleware())
		for name, handler := range handlers {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				path := "/" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
				bare.Mist.GET(path, handler)
				wrapped.Mist.GET(path, handler)
				want, got := observe(t, bare, path), observe(t, wrapped, path)
				if got != want {
					t.Errorf("got\n%s\nwant, as without the Middleware,\n%s", got, want)
				}
				if got := wrapped.ServerLog(); got != "" {
					t.Errorf("net/http complains: %s", got)
				}
				bare.ServerLog() // mist itself gives reason enough
			})
		}
	}
}

// observe returns all that a client sees of a response.
func observe(t *testing.T, s *webtest.Site, path string) string {
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
	resp, err := s.Visitor(t).Do(req)
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

// bare is a response writer with only the three methods.
type bare struct {
	header http.Header
	calls  []string
}

func (w *bare) Header() http.Header { return w.header }

func (w *bare) Write(p []byte) (int, error) { w.calls = append(w.calls, "Write"); return len(p), nil }

func (w *bare) WriteHeader(code int) { w.calls = append(w.calls, fmt.Sprint(code)) }

// full is a response writer with all methods of net/http's.
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
	m, _ := webtest.Spied()
	use := func(w http.ResponseWriter, handler func(w http.ResponseWriter, c *http.ResponseController)) {
		webtest.Wrap(func(ctx *mist.Context) {
			handler(ctx.ResponseWriter, http.NewResponseController(ctx.ResponseWriter))
		}, m.Middleware())(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w})
	}

	t.Run("all of them pass through", func(t *testing.T) {
		w := &full{}
		use(w, func(w http.ResponseWriter, c *http.ResponseController) {
			_, copied := io.Copy(w, webtest.OnlyReader{Reader: strings.NewReader("x")})
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
			// A failed call has sent no header.
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
