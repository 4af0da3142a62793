package session_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// upload is a form with one file of that size, and its content type.
func upload(t *testing.T, size int) (body []byte, contentType string) {
	t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	file, err := w.CreateFormFile("file", "upload.bin")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.Write(make([]byte, size))
	_ = w.Close()
	return buf.Bytes(), w.FormDataContentType()
}

// temporary is the folder for temporary files, of one test.
func temporary(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

// leftovers are the files in a folder, and their size.
func leftovers(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files, size = files+1, size+info.Size()
		}
	}
	return files, size
}

// parseForm stores the file of a form in the temporary folder, and reports that it is
// there while the handler runs.
func parseForm(t *testing.T, ctx *mist.Context, dir string) {
	t.Helper()
	if err := ctx.Request.ParseMultipartForm(1); err != nil {
		t.Errorf("ParseMultipartForm: %v", err)
	}
	if files, _ := leftovers(t, dir); files == 0 {
		t.Error("the form has no file in the temporary folder, so this shows nothing")
	}
}

// replaced gives a request a copy of itself, as middlewares do that put something
// into its context.
func replaced(ctx *mist.Context) { ctx.Request = ctx.Request.WithContext(ctx.Request.Context()) }

// Temporary files of forms end with their request, whatever becomes of it: net/http
// removes only those of the request that it made itself.
func TestUploadsLeaveNothing(t *testing.T) {
	var dir string
	body, contentType := upload(t, 1<<20)

	for name, test := range map[string]struct {
		handler mist.HandleFunc
		inner   mist.Middleware
		outer   func(http.Handler) http.Handler
	}{
		"as it is": {handler: func(ctx *mist.Context) { parseForm(t, ctx, dir) }},
		"the handler replaces the request": {handler: func(ctx *mist.Context) {
			replaced(ctx)
			parseForm(t, ctx, dir)
			replaced(ctx)
		}},
		"a middleware inside replaces the request": {
			handler: func(ctx *mist.Context) { parseForm(t, ctx, dir) },
			inner: func(next mist.HandleFunc) mist.HandleFunc {
				return func(ctx *mist.Context) {
					replaced(ctx)
					next(ctx)
				}
			},
		},
		"the handler puts another request there": {handler: func(ctx *mist.Context) {
			parseForm(t, ctx, dir)
			ctx.Request, _ = http.NewRequestWithContext(ctx.Request.Context(), http.MethodGet, "/", nil)
		}},
		"the handler takes the request away": {handler: func(ctx *mist.Context) {
			parseForm(t, ctx, dir)
			ctx.Request = nil
		}},
		"the handler panics": {handler: func(ctx *mist.Context) {
			parseForm(t, ctx, dir)
			panic(http.ErrAbortHandler)
		}},
		"the handler hijacks": {handler: func(ctx *mist.Context) {
			parseForm(t, ctx, dir)
			conn, _, err := http.NewResponseController(ctx.ResponseWriter).Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			_ = conn.Close()
		}},
		"behind a limit, which copies the request": {
			handler: func(ctx *mist.Context) { parseForm(t, ctx, dir) },
			outer:   func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1<<30) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir = temporary(t)
			m, _ := webtest.ManagerFor(false)
			server := mist.InitHTTPServer()
			server.Use(m.Middleware())
			if test.inner != nil {
				server.Use(test.inner)
			}
			server.POST("/", test.handler)
			var h http.Handler = server
			if test.outer != nil {
				h = test.outer(h)
			}
			var running sync.WaitGroup // the server does not wait for those that hijacked
			s := webtest.Listen(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				running.Add(1)
				defer running.Done()
				h.ServeHTTP(w, r)
			}))
			for range 3 {
				s.Post(t, s.Visitor(t), contentType, body)
			}
			s.Close()
			running.Wait()
			if files, size := leftovers(t, dir); files > 0 {
				t.Errorf("%d files are left, %d MB", files, size/1e6)
			}
		})
	}
}

// The same for RequireCSRF, which reads forms itself: also where it refuses, where
// it is outside of the Middleware, and where there is none.
func TestRequireCSRFUploadsLeaveNothing(t *testing.T) {
	body, contentType := upload(t, 34<<20) // PostFormValue keeps 32 MiB in memory

	limited := func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1<<30) }
	for name, test := range map[string]struct {
		wire  func(server *mist.HTTPServer, m *session.Manager, page mist.HandleFunc)
		outer func(http.Handler) http.Handler
	}{
		"inside the Middleware": {wire: func(server *mist.HTTPServer, m *session.Manager, page mist.HandleFunc) {
			server.Use(m.Middleware(), m.RequireCSRF(nil))
			server.POST("/", page)
		}},
		"inside the Middleware, behind a limit": {wire: func(server *mist.HTTPServer, m *session.Manager, page mist.HandleFunc) {
			server.Use(m.Middleware(), m.RequireCSRF(nil))
			server.POST("/", page)
		}, outer: limited},
		"outside the Middleware, behind a limit": {wire: func(server *mist.HTTPServer, m *session.Manager, page mist.HandleFunc) {
			server.Use(m.RequireCSRF(nil), m.Middleware())
			server.POST("/", page)
		}, outer: limited},
		"without the Middleware, behind a limit": {wire: func(server *mist.HTTPServer, m *session.Manager, page mist.HandleFunc) {
			server.POST("/", m.RequireCSRF(nil)(page))
		}, outer: limited},
	} {
		t.Run(name, func(t *testing.T) {
			dir := temporary(t)
			m, _ := webtest.ManagerFor(false)
			server := mist.InitHTTPServer()
			test.wire(server, m, func(*mist.Context) { t.Error("a request without a token got through") })
			server.GET("/begin", func(ctx *mist.Context) { _, _ = m.InitSession(ctx) })
			var h http.Handler = server
			if test.outer != nil {
				h = test.outer(h)
			}
			s := webtest.Listen(t, false, h)
			stranger := s.Visitor(t)
			s.Fetch(t, stranger, "/begin")
			if status := s.Post(t, stranger, contentType, body); status != http.StatusForbidden {
				t.Errorf("got status %d, want 403", status)
			}
			s.Close()
			if files, size := leftovers(t, dir); files > 0 {
				t.Errorf("%d files are left, %d MB", files, size/1e6)
			}
		})
	}
}

// What others outside of the Middleware have parsed is theirs: the files are there
// until their request ends.
func TestUploadOfOthersStays(t *testing.T) {
	dir := temporary(t)
	body, contentType := upload(t, 1<<20)
	m, _ := webtest.ManagerFor(false)
	s := webtest.Serve(t, false, func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			parseForm(t, ctx, dir)
			form := ctx.Request.MultipartForm
			next(ctx)
			if f, err := form.File["file"][0].Open(); err != nil {
				t.Errorf("after the handler: %v", err)
			} else {
				_ = f.Close()
			}
		}
	}, m.Middleware(), m.RequireCSRF(nil))
	s.Mist.POST("/", func(*mist.Context) {})
	if status := s.Post(t, s.Visitor(t), contentType, body); status != http.StatusOK {
		t.Errorf("got status %d", status)
	}
	s.Close()
	if files, _ := leftovers(t, dir); files > 0 {
		t.Errorf("%d files are left", files)
	}
}

// What net/http keeps on the request that it made, the handlers see, and what muxes
// inside keep on theirs is seen outside.
func TestMiddlewareKeepsTheRequest(t *testing.T) {
	for protocol, h2 := range webtest.Protocols {
		m, _ := webtest.ManagerFor(h2)
		server := mist.InitHTTPServer()
		server.Use(m.Middleware())
		inner := http.NewServeMux()
		inner.HandleFunc("POST /in/{what}", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(w, r.PathValue("outer"), " ", r.PathValue("what"), " ", r.Trailer.Get("Late"))
		})
		server.POST("/in/x", func(ctx *mist.Context) { inner.ServeHTTP(ctx.ResponseWriter, ctx.Request) })
		s := webtest.Listen(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.SetPathValue("outer", "kept")
			server.ServeHTTP(w, r)
			if got, want := r.Pattern, "POST /in/{what}"; got != want {
				t.Errorf("%s: outside, the pattern is %q, want %q", protocol, got, want)
			}
		}))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/in/x", webtest.OnlyReader{Reader: strings.NewReader("body")})
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"Late": {"arrived"}}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got, want := string(page), "kept x arrived"; got != want {
			t.Errorf("%s: got %q, want %q", protocol, got, want)
		}
		if h2 {
			continue // drops trailers that were not announced
		}
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST /in/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"4\r\nbody\r\n0\r\nLate: unannounced\r\n\r\n")
		answer, err := io.ReadAll(conn)
		_ = conn.Close()
		if want := "kept x unannounced"; !strings.HasSuffix(string(answer), want) {
			t.Errorf("got %q, %v, want it to end in %q", answer, err, want)
		}
	}
}
