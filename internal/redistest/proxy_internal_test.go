package redistest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// proxied returns a server, a proxy before it and a connection through that.
func proxied(t *testing.T) (*Server, *Proxy, *conn) {
	t.Helper()
	s := Start(t)
	p := NewProxy(t, s.Addr)
	return s, p, dialProxy(t, p)
}

func dialProxy(t *testing.T, p *Proxy) *conn {
	t.Helper()
	c, err := dial(p.Addr, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// works reports whether a new connection does.
func works(p *Proxy) bool {
	c, err := dial(p.Addr, "", time.Minute)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_, err = c.do("PING")
	return err == nil
}

func mustDo(t *testing.T, c *conn, args ...any) any {
	t.Helper()
	reply, err := c.do(args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// send sends requests at once, without reading replies.
func send(t *testing.T, c *conn, requests ...[]byte) {
	t.Helper()
	if _, err := c.Write(bytes.Join(requests, nil)); err != nil {
		t.Fatal(err)
	}
}

// wantReset reads what is left of a connection, which has to end with a reset.
func wantReset(t *testing.T, c *conn, left string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.r)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ends with %v, want a reset", err)
	}
	if string(got) != left {
		t.Errorf("before the reset came %q, want %q", got, left)
	}
}

// silent reports whether nothing comes for a while.
func silent(t *testing.T, c *conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := c.r.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func connections(t *testing.T, p *Proxy, want int) {
	t.Helper()
	eventually(t, func() error {
		if got := p.Connections(); got != want {
			return errors.New("other connections are open")
		}
		return nil
	})
}

func TestProxyPasses(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB: many pieces
	mustDo(t, c, "SET", "big", big)
	if got := mustDo(t, c, "GET", "big"); got != big {
		t.Error("a large value does not come back")
	}
	if got := s.MustDo(t, "GET", "big"); got != big {
		t.Error("a large value does not arrive")
	}
	d := dialProxy(t, p)
	mustDo(t, d, "PING")
	if got := p.Connections(); got != 2 {
		t.Errorf("%d connections are open, want 2", got)
	}
	_ = d.Close()
	connections(t, p, 1)
	s.Pause() // who leaves is gone, though the server does not notice
	_ = c.Close()
	connections(t, p, 0)
	s.Resume()

	c = dialProxy(t, p)
	mustDo(t, c, "PING")
	s.Kill()
	if _, err := c.do("PING"); err == nil {
		t.Error("a killed server answers")
	}
	connections(t, p, 0)
	if works(p) {
		t.Error("a killed server answers")
	}
	s.Restart(t)
	mustDo(t, dialProxy(t, p), "PING")
}

// A client may say that it sends no more, and still get its replies.
func TestProxyHalfClosed(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	p.SetDelay(10 * time.Millisecond)
	send(t, c, request("INCR", "n"))
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c.r); err != nil || string(got) != ":1\r\n" {
		t.Errorf("the reply is %q, %v", got, err)
	}
	if got := s.MustDo(t, "GET", "n"); got != "1" {
		t.Errorf("n is %v: what was sent before the end did not arrive", got)
	}
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	_, p, c := proxied(t)
	const delay = 30 * time.Millisecond
	p.SetDelay(delay)
	var seen atomic.Int32
	p.Match(func([]byte) bool {
		seen.Add(1)
		return true
	})
	start := time.Now()
	send(t, c, request("RPUSH", "l", "a"))
	send(t, c, request("RPUSH", "l", "b"), request("LRANGE", "l", 0, -1))
	eventually(t, func() error {
		if seen.Load() != 3 {
			return errors.New("the proxy has not read the requests")
		}
		return nil
	})
	p.SetDelay(0)
	send(t, c, request("LLEN", "l")) // must not overtake
	for _, want := range []any{int64(1), int64(2), nil, int64(2)} {
		got, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if list, ok := got.([]any); ok && len(list) == 2 && list[0] == "a" {
			got = nil
		}
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if passed := time.Since(start); passed < delay {
		t.Errorf("after %v, and the way there takes %v", passed, delay)
	}
	p.SetDelay(delay)
	start = time.Now()
	mustDo(t, c, "PING")
	if passed := time.Since(start); passed < 2*delay {
		t.Errorf("after %v, and each way takes %v", passed, delay)
	}
}

func TestProxyCut(t *testing.T) {
	t.Parallel()
	_, p, c := proxied(t)
	d := dialProxy(t, p)
	mustDo(t, c, "PING")
	mustDo(t, d, "PING")
	p.Stall(true) // also what is stalled
	send(t, d, request("PING"))
	p.Cut()
	if got := p.Connections(); got != 0 {
		t.Errorf("%d connections are open", got)
	}
	wantReset(t, c, "")
	wantReset(t, d, "")
	p.Stall(false)
	mustDo(t, dialProxy(t, p), "PING")
}

func TestProxyRefuse(t *testing.T) {
	t.Parallel()
	_, p, c := proxied(t)
	mustDo(t, c, "PING")
	p.Refuse(true)
	if works(p) {
		t.Error("a new connection works")
	}
	mustDo(t, c, "PING") // an old one does
	p.Refuse(false)
	mustDo(t, dialProxy(t, p), "PING")
}

func TestProxyStall(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	mustDo(t, c, "PING")
	p.Stall(true)
	d := dialProxy(t, p)
	for _, c := range []*conn{c, d} {
		send(t, c, request("INCR", "n"))
		if !silent(t, c) {
			t.Error("something passes")
		}
	}
	if got := s.MustDo(t, "GET", "n"); got != nil {
		t.Errorf("n is %v: a request has passed", got)
	}
	connections(t, p, 2)
	p.Stall(true) // as it is
	p.Stall(false)
	p.Stall(false)
	for _, c := range []*conn{c, d} {
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.read(); err != nil {
			t.Errorf("what was stalled is lost: %v, %v", got, err)
		}
	}
	if got := s.MustDo(t, "GET", "n"); got != "2" {
		t.Errorf("n is %v", got)
	}
}
