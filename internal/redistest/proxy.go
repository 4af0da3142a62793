package redistest

import (
	"sync"
	"testing"

	"github.com/mist-contrib/session/internal/servertest"
)

// A Proxy is a TCP proxy before a server, for network faults. Its Match gets one RESP request
// at a time, also from a pipeline. See [Named].
type Proxy = servertest.Proxy

// NewProxy starts a proxy before the server at target. It ends with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	return servertest.NewProxy(tb, target, func(p *Proxy) (func([]byte), func([]byte) (int, bool)) {
		c := &conversation{p: p}
		return c.requests(), c.replies()
	})
}

// A conversation follows the requests and replies of one connection.
type conversation struct {
	p *Proxy

	mu      sync.Mutex
	pending []bool // for each request without a reply: whether it matches
}

// requests returns a function that notes for each request whether it matches.
func (c *conversation) requests() func([]byte) {
	var (
		scan    scanner
		request []byte
		opaque  bool // replies can no longer be assigned to requests
	)
	return func(b []byte) {
		for len(b) > 0 && !opaque {
			n, done, err := scan.next(b)
			request = append(request, b[:n]...)
			b = b[n:]
			if opaque = err != nil; done {
				opaque = c.note(request)
				request = request[:0]
			}
		}
	}
}

// note notes a request. It reports whether the request turns the connection into a stream,
// in which replies no longer answer requests.
func (c *conversation) note(request []byte) (stream bool) {
	switch commandName(request) {
	case "": // an empty request has no reply
		return false
	case "subscribe", "psubscribe", "ssubscribe", "monitor", "sync", "psync":
		return true
	}
	matches := c.p.Matches(request)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, matches)
	return false
}

// replies returns a function that finds the replies to drop or to cut.
func (c *conversation) replies() func([]byte) (int, bool) {
	var (
		scan    scanner
		opaque  bool // replies can no longer be assigned to requests
		between = true
		allowed = -1 // bytes of the current reply that may pass; negative: all
	)
	return func(b []byte) (pass int, cut bool) {
		for pass < len(b) && !opaque {
			if between {
				allowed = c.allow(b[pass])
			}
			n, done, err := scan.next(b[pass:])
			if opaque = err != nil; opaque {
				break
			}
			if between = done; allowed >= 0 {
				if n >= allowed || done {
					return pass + min(n, allowed), true
				}
				allowed -= n
			}
			pass += n
		}
		return len(b), false
	}
}

// allow returns how many bytes of the next reply may pass; negative: all. first is the first
// byte of the reply.
func (c *conversation) allow(first byte) int {
	c.mu.Lock()
	matches := false
	if first != '>' && len(c.pending) > 0 { // '>' begins a push, which answers no request
		matches, c.pending = c.pending[0], c.pending[1:]
	}
	c.mu.Unlock()
	if !matches {
		return -1
	}
	return c.p.Allow()
}
