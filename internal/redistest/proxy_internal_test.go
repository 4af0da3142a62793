package redistest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
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

// onTheirWay counts requests without a reply.
func onTheirWay(p *Proxy) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		l.mu.Lock()
		n += len(l.pending)
		l.mu.Unlock()
	}
	return n
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	_, p, c := proxied(t)
	const delay = 30 * time.Millisecond
	p.SetDelay(delay)
	start := time.Now()
	send(t, c, request("RPUSH", "l", "a"))
	send(t, c, request("RPUSH", "l", "b"), request("LRANGE", "l", 0, -1))
	eventually(t, func() error {
		if onTheirWay(p) != 3 {
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

func TestProxyLoseReply(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	p.LoseReply(2)
	for range 2 {
		if _, err := c.do("INCR", "n"); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v, want a reset", err)
		}
		c = dialProxy(t, p)
	}
	if got := s.MustDo(t, "GET", "n"); got != "2" {
		t.Errorf("n is %v: the server was to count twice", got)
	}
	if got := mustDo(t, c, "INCR", "n"); got != int64(3) {
		t.Errorf("the third is %v", got)
	}
	p.LoseReply(1)
	p.LoseReply(0)
	mustDo(t, c, "PING")
}

func TestProxyLoseReplyInAPipeline(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	p.Match(Named("incr", "eval"))
	p.LoseReply(1)
	// HELLO is answered with a map, and SET makes the server push something that
	// is not the reply to INCR.
	send(t, c, request("HELLO", 3), request("CLIENT", "TRACKING", "ON"), request("GET", "incr"),
		request("SET", "incr", "incr"), request("INCR", "n"), request("INCR", "m"))
	b, err := io.ReadAll(c.r)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ends with %v, want a reset", err)
	}
	got := string(b)
	if !strings.HasPrefix(got, "%") || strings.Count(got, "+OK\r\n") != 2 || !strings.Contains(got, "invalidate") {
		t.Errorf("what came before is not whole: %q", got)
	}
	if strings.HasSuffix(got, ":1\r\n") {
		t.Errorf("the reply has passed: %q", got)
	}
	if got := s.MustDo(t, "GET", "n"); got != "1" {
		t.Errorf("n is %v: the server was to count", got)
	}

	c = dialProxy(t, p)
	if got := mustDo(t, c, "INCR", "n"); got != int64(2) {
		t.Errorf("one more is lost: %v", got)
	}
}

func TestProxyMatchSeesWholeRequests(t *testing.T) {
	t.Parallel()
	_, p, c := proxied(t)
	seen := make(chan string, 10)
	p.Match(func(request []byte) bool {
		seen <- string(request)
		return false
	})
	p.LoseReply(1)
	a, b := request("SET", "k", strings.Repeat("x", 100000)), request("get", "k")
	for piece := range slices.Chunk(slices.Concat(a, b), 7001) {
		send(t, c, piece)
	}
	for _, want := range [][]byte{a, b} {
		if got := <-seen; got != string(want) {
			t.Errorf("a request of %d bytes, want %d: %.40q", len(got), len(want), got)
		}
	}
	if name := commandName(b); name != "get" {
		t.Errorf("its command is %q", name)
	}
}

func TestProxyCutReply(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	mustDo(t, c, "SET", "k", "0123456789")
	p.CutReply(7)
	send(t, c, request("GET", "k"))
	wantReset(t, c, "$10\r\n01")

	c = dialProxy(t, p)
	mustDo(t, c, "GET", "k") // it was one reply
	p.CutReply(7)
	p.Match(Named("get"))
	send(t, c, request("INCR", "n"), request("GET", "k"), request("INCR", "n"))
	wantReset(t, c, ":1\r\n$10\r\n01")
	if got := s.MustDo(t, "GET", "n"); got == nil {
		t.Error("the server has not done it")
	}

	c = dialProxy(t, p)
	p.Match(nil)
	p.CutReply(0)
	send(t, c, request("GET", "k"))
	wantReset(t, c, "")

	c = dialProxy(t, p)
	p.CutReply(1000) // more than it has
	send(t, c, request("GET", "k"))
	wantReset(t, c, "$10\r\n0123456789\r\n")

	c = dialProxy(t, p)
	p.CutReply(3)
	p.CutReply(-1)
	mustDo(t, c, "GET", "k")
}

// A large reply comes in many pieces.
func TestProxyCutReplyFarInside(t *testing.T) {
	t.Parallel()
	_, p, c := proxied(t)
	big := strings.Repeat("x", 1<<20)
	mustDo(t, c, "SET", "big", big)
	const after = 500_000
	p.CutReply(after)
	send(t, c, request("GET", "big"))
	got, err := io.ReadAll(c.r)
	// A reset may overtake what the client has not read yet.
	if !errors.Is(err, syscall.ECONNRESET) || len(got) > after {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// What is not RESP, or has replies of its own accord, passes as it is.
func TestProxyStreams(t *testing.T) {
	t.Parallel()
	s, p, c := proxied(t)
	p.Match(Named("ping"))
	p.LoseReply(1)
	send(t, c, request("SUBSCRIBE", "a", "b"))
	for range 2 {
		if _, err := c.read(); err != nil {
			t.Fatal(err)
		}
	}
	s.MustDo(t, "PUBLISH", "b", "hello")
	if got, err := c.read(); err != nil || len(got.([]any)) != 3 {
		t.Errorf("a message is %v, %v", got, err)
	}
	mustDo(t, c, "PING")

	c = dialProxy(t, p)
	send(t, c, []byte("PING\r\n")) // a command of a human
	if got, err := c.read(); err != nil || got != "PONG" {
		t.Errorf("PING: %v, %v", got, err)
	}
	mustDo(t, c, "PING") // not counted any more

	replica := Start(t)
	host, port, _ := net.SplitHostPort(p.Addr)
	replica.MustDo(t, "REPLICAOF", host, port)
	eventually(t, s.replicated)
}
