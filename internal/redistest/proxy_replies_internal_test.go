package redistest

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
)

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
