package session_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// A *mist.Context built by hand in a plain http.HandlerFunc.
func TestMistContextByHand(t *testing.T) {
	for protocol, h2 := range webtest.Protocols {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Insecure: !h2}}
		flow := func(call func(ctx *mist.Context) error) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if err := call(&mist.Context{Request: r, ResponseWriter: w}); err != nil {
					http.Error(w, webtest.Anonymous, http.StatusUnauthorized)
				}
			}
		}
		mux := http.NewServeMux()
		mux.Handle("/get", flow(func(ctx *mist.Context) error { _, err := m.GetSession(ctx); return err }))
		mux.Handle("/init", flow(func(ctx *mist.Context) error { _, err := m.InitSession(ctx); return err }))
		mux.Handle("/refresh", flow(m.RefreshSession))
		mux.Handle("/rotate", flow(m.RotateSession))
		mux.Handle("/remove", flow(m.RemoveSession))
		s := webtest.Listen(t, h2, mux)
		c := s.Visitor(t)
		var got []int
		for _, path := range []string{"/get", "/init", "/get", "/refresh", "/rotate", "/get", "/remove", "/get", "/remove"} {
			resp, _ := s.Fetch(t, c, path)
			got = append(got, resp.StatusCode)
		}
		if want := []int{401, 200, 200, 200, 200, 200, 200, 401, 401}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", protocol, got, want)
		}
	}
}

// Whatever a goroutine keeps of a request, it never sees another's session.
func TestMistLeftoverGoroutine(t *testing.T) {
	for _, loadedBefore := range []bool{false, true} {
		m, _ := webtest.ManagerFor(false)
		s := webtest.Serve(t, false, m.Middleware())
		webtest.LoginAndWho(s.Mist, m)
		var (
			left sync.WaitGroup
			gate = make(chan struct{})
		)
		s.Mist.GET("/leave", func(ctx *mist.Context) {
			c := context.WithoutCancel(ctx.Request.Context())
			if loadedBefore {
				_, _ = m.GetSession(ctx)
			}
			left.Go(func() {
				<-gate
				kept, err := session.FromContext(c)
				if err != nil {
					return
				}
				if v, err := kept.Get(c, "name"); v != "alice" {
					t.Errorf("got %v, %v, want alice's", v, err)
				}
				if err := kept.Set(c, "late", true); err != nil {
					t.Errorf("Set: %v", err)
				}
			})
		})
		alice, bob := s.Visitor(t), s.Visitor(t)
		s.Fetch(t, alice, "/login?as=alice")
		s.Fetch(t, bob, "/login?as=bob")
		for range 20 {
			s.Fetch(t, alice, "/leave")
			s.Fetch(t, bob, "/who")
		}
		close(gate)
		for range 50 {
			if _, who := s.Fetch(t, bob, "/who"); who != "bob" {
				t.Errorf("bob is %q", who)
			}
		}
		left.Wait()
	}
}

// Over TLS with HTTP/2, which splits the Cookie header into crumbs, with the
// default cookie.
func TestMistHTTP2(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	s := webtest.Serve(t, true, m.Middleware())
	webtest.LoginAndWho(s.Mist, m)
	s.Mist.GET("/others", func(ctx *mist.Context) {
		for i := range 5 {
			ctx.SetCookie(&http.Cookie{Name: fmt.Sprint("other-", i), Value: "x", Path: "/", Secure: true})
		}
	})
	alice := s.Visitor(t)
	s.Fetch(t, alice, "/others")
	resp, _ := s.Fetch(t, alice, "/login?as=alice")
	if resp.ProtoMajor != 2 {
		t.Fatalf("got %s, want HTTP/2", resp.Proto)
	}
	if got, want := webtest.SetCookies(resp.Header), []string{webtest.SetLine}; !slices.Equal(got, want) {
		t.Errorf("got Set-Cookie %q, want %q", got, want)
	}
	if _, who := s.Fetch(t, alice, "/who"); who != "alice" {
		t.Errorf("got %q, want alice", who)
	}
	resp, _ = s.Fetch(t, alice, "/logout")
	if got, want := webtest.SetCookies(resp.Header), []string{webtest.ClearLine}; !slices.Equal(got, want) {
		t.Errorf("got Set-Cookie %q, want %q", got, want)
	}
	if _, who := s.Fetch(t, alice, "/who"); who != webtest.Anonymous {
		t.Errorf("after the logout: got %q", who)
	}
}

// A stream arrives piece by piece, and its session can be written meanwhile.
func TestMistStream(t *testing.T) {
	for protocol, h2 := range webtest.Protocols {
		m, _ := webtest.ManagerFor(h2)
		s := webtest.Serve(t, h2, m.Middleware())
		webtest.LoginAndWho(s.Mist, m)
		next := make(chan struct{})
		s.Mist.GET("/stream", func(ctx *mist.Context) {
			opened, err := m.GetSession(ctx)
			if err != nil {
				t.Errorf("GetSession: %v", err)
				return
			}
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("RotateSession before the first piece: %v", err)
			}
			ctx.Header("Content-Type", "text/event-stream")
			flush := http.NewResponseController(ctx.ResponseWriter).Flush
			for i := range 3 {
				_, _ = fmt.Fprintf(ctx.ResponseWriter, "data: %d\n\n", i)
				if err := flush(); err != nil {
					t.Errorf("Flush: %v", err)
				}
				select {
				case <-next:
				case <-ctx.Request.Context().Done():
					t.Error("the piece did not arrive")
					return
				}
				if err := opened.Set(ctx.Request.Context(), "name", fmt.Sprint("alice-", i)); err != nil {
					t.Errorf("Set: %v", err)
				}
			}
			if err := m.RotateSession(ctx); !errors.Is(err, session.ErrHeaderWritten) {
				t.Errorf("RotateSession in the stream: got %v, want ErrHeaderWritten", err)
			}
		})
		alice := s.Visitor(t)
		s.Fetch(t, alice, "/login?as=alice")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := alice.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		for i := range 3 {
			if !lines.Scan() || lines.Text() != fmt.Sprint("data: ", i) || !lines.Scan() {
				t.Fatalf("%s: piece %d: got %q, %v", protocol, i, lines.Text(), lines.Err())
			}
			next <- struct{}{}
		}
		if lines.Scan() {
			t.Errorf("%s: got %q after the end", protocol, lines.Text())
		}
		_ = resp.Body.Close()
		cancel()
		if _, who := s.Fetch(t, alice, "/who"); who != "alice-2" {
			t.Errorf("%s: afterwards got %q", protocol, who)
		}
	}
}

// Whoever hijacks has the connection to itself.
func TestMistHijack(t *testing.T) {
	m, rec := webtest.ManagerFor(false)
	s := webtest.Serve(t, false, m.Middleware())
	webtest.LoginAndWho(s.Mist, m)
	ended := make(chan struct{})
	s.Mist.GET("/ws", func(ctx *mist.Context) {
		defer close(ended)
		opened, err := m.GetSession(ctx)
		if err != nil {
			t.Errorf("GetSession: %v", err)
			return
		}
		conn, buf, err := ctx.ResponseWriter.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		defer func() { _ = conn.Close() }()
		rec.Take()
		if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrHeaderWritten) || rec.Take() != "" {
			t.Errorf("InitSession: got %v, want ErrHeaderWritten and no session", err)
		}
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = buf.Flush()
		line, err := buf.ReadString('\n')
		if err == nil {
			err = opened.Set(ctx.Request.Context(), "name", "alice said "+strings.TrimSpace(line))
		}
		if err != nil {
			t.Errorf("in the connection: %v", err)
		}
		_, _ = buf.WriteString("echo " + line)
		_ = buf.Flush()
		ctx.RespData, ctx.RespStatusCode = []byte("mist would write this"), http.StatusOK
	})
	alice := s.Visitor(t)
	s.Fetch(t, alice, "/login?as=alice")

	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range alice.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, want 101", err)
	}
	_ = resp.Body.Close()
	_, _ = io.WriteString(conn, "hello\n")
	rest, err := io.ReadAll(in)
	if got, want := string(rest), "echo hello\n"; got != want {
		t.Errorf("got %q, %v, want %q and the end", got, err, want)
	}
	<-ended
	if _, who := s.Fetch(t, alice, "/who"); who != "alice said hello" {
		t.Errorf("afterwards: got %q", who)
	}
}

// What http.ResponseController can do without the Middleware it can do with it.
func TestMistResponseController(t *testing.T) {
	for protocol, h2 := range webtest.Protocols {
		m, _ := webtest.ManagerFor(h2)
		bare, wrapped := webtest.Serve(t, h2), webtest.Serve(t, h2, m.Middleware())
		page := func(ctx *mist.Context) {
			c := http.NewResponseController(ctx.ResponseWriter)
			var page strings.Builder
			for _, err := range []error{
				c.SetReadDeadline(time.Now().Add(time.Minute)),
				c.SetWriteDeadline(time.Now().Add(time.Minute)),
				c.EnableFullDuplex(),
				c.Flush(),
			} {
				fmt.Fprint(&page, err, " ")
			}
			_, _ = io.WriteString(ctx.ResponseWriter, page.String())
		}
		bare.Mist.GET("/", page)
		wrapped.Mist.GET("/", page)
		_, want := bare.Fetch(t, bare.Visitor(t), "/")
		if _, got := wrapped.Fetch(t, wrapped.Visitor(t), "/"); got != want || strings.Count(want, "<nil>") < 3 {
			t.Errorf("%s: got %q, want %q, as without the Middleware", protocol, got, want)
		}
		bare.ServerLog() // mist's second WriteHeader
	}
}

// HTTP/2 cannot be hijacked; trying does no harm.
func TestMistHijackHTTP2(t *testing.T) {
	m, _ := webtest.ManagerFor(true)
	s := webtest.Serve(t, true, m.Middleware())
	webtest.LoginAndWho(s.Mist, m)
	s.Mist.GET("/ws", func(ctx *mist.Context) {
		_, _, err := http.NewResponseController(ctx.ResponseWriter).Hijack()
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Hijack: got %v, want ErrUnsupported", err)
		}
		made, err := m.InitSession(ctx)
		if err == nil {
			err = made.Set(ctx.Request.Context(), "name", "alice")
		}
		webtest.Respond(ctx, "instead", err)
	})
	alice := s.Visitor(t)
	if _, got := s.Fetch(t, alice, "/ws"); got != "instead" {
		t.Errorf("got %q", got)
	}
	if _, who := s.Fetch(t, alice, "/who"); who != "alice" {
		t.Errorf("got %q", who)
	}
}

// The client leaves while the store hangs: the handler gets the context's error
// and nothing is half done.
func TestMistClientLeaves(t *testing.T) {
	for protocol, h2 := range webtest.Protocols {
		for _, f := range webtest.Flows {
			for _, op := range f.Store {
				m, rec := webtest.ManagerFor(h2)
				s := webtest.Serve(t, h2, m.Middleware())
				webtest.LoginAndWho(s.Mist, m)
				made := 0
				m.NewID = func() string { made++; return fmt.Sprint("id-", made) }
				alice := s.Visitor(t)
				s.Fetch(t, alice, "/login?as=alice")
				var (
					once    sync.Once
					hanging = make(chan struct{})
					ended   = make(chan error, 1)
				)
				rec.On(func(ctx context.Context, called string) {
					if called == op {
						once.Do(func() {
							close(hanging)
							select {
							case <-ctx.Done():
							case <-t.Context().Done(): // the test has failed
							}
						})
					}
				})
				s.Mist.GET("/flow", func(ctx *mist.Context) { ended <- f.Call(m, ctx) })
				ctx, leave := context.WithCancel(t.Context())
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/flow", nil)
				if err != nil {
					t.Fatal(err)
				}
				go func() { <-hanging; leave() }()
				if resp, err := alice.Do(req); err == nil {
					_ = resp.Body.Close()
					t.Errorf("%s/%s/%s: got an answer", protocol, f.Name, op)
				}
				select {
				case err = <-ended:
				case <-time.After(time.Minute):
					t.Fatalf("%s/%s/%s: the handler hangs", protocol, f.Name, op)
				}
				if !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s/%s/%s: got %v, want context.Canceled", protocol, f.Name, op, err)
				}
				if _, who := s.Fetch(t, alice, "/who"); who != "alice" {
					t.Errorf("%s/%s/%s: afterwards: got %q", protocol, f.Name, op, who)
				}
				if _, err := m.Store.Get(t.Context(), "id-2"); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s/%s/%s: a session is left: %v", protocol, f.Name, op, err)
				}
			}
		}
	}
	webtest.Eventually(t, "no goroutine is left in the package", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !strings.Contains(string(stacks), "mist-contrib/session.(")
	})
}
