package servertest

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy is a TCP proxy in front of a server that injects network faults. A new Proxy
// injects none. Its methods are safe for concurrent use. They affect existing and new
// connections.
type Proxy struct {
	Addr string // the address for clients

	target   string
	inspect  Inspect
	listener *net.TCPListener
	tasks    sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]struct{}
	closed bool
	delay  time.Duration
	refuse bool
	open   chan struct{} // closed while data may pass
	match  func([]byte) bool
	lose   int
	cut    int // bytes of the next reply that pass; -1: no cut
}

// An Inspect returns two functions that see the data of one connection. requests gets
// the client's data. replies gets the server's data, and returns how many bytes pass and
// whether to cut the connection after them. Each function runs in its own goroutine.
type Inspect func(p *Proxy) (requests func([]byte), replies func([]byte) (pass int, cut bool))

// NewProxy starts a proxy in front of the server at target. It ends with the test. A nil
// inspect is for protocols in which the client reads each reply before it sends the next
// request. The first data after a request is then its reply.
func NewProxy(tb testing.TB, target string, inspect Inspect) *Proxy {
	tb.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatalf("servertest: %v", err)
	}
	if inspect == nil {
		inspect = alternate
	}
	p := &Proxy{
		inspect:  inspect,
		Addr:     l.Addr().String(),
		target:   target,
		listener: l,
		links:    make(map[*link]struct{}),
		open:     make(chan struct{}),
		cut:      -1,
	}
	close(p.open)
	p.tasks.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // for example too many open files
			time.Sleep(time.Millisecond)
			continue
		}
		p.mu.Lock()
		if p.refuse || p.closed {
			reset(client)
		} else {
			l := newLink(p, client)
			p.links[l] = struct{}{}
			p.tasks.Go(l.run)
		}
		p.mu.Unlock()
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.tasks.Wait()
}

// SetDelay delays new data by d in each direction. The order stays the same.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Cut resets all connections at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	links := p.links
	p.links = make(map[*link]struct{})
	p.mu.Unlock()
	for l := range links {
		l.close(true)
	}
}

// Refuse sets whether the proxy closes new connections at once.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Stall sets whether the proxy holds all data. Connections stay open, new ones are
// accepted, and the held data passes afterwards.
func (p *Proxy) Stall(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		if yes {
			p.open = make(chan struct{})
		}
	default:
		if !yes {
			close(p.open)
		}
	}
}

// LoseReply drops the next n replies and resets their connections: the server has
// executed the requests, but the client gets no reply. Replies to earlier requests of a
// pipeline still pass.
func (p *Proxy) LoseReply(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// CutReply passes the given number of bytes of the next reply and then resets the
// connection. LoseReply takes precedence. A negative number revokes CutReply.
func (p *Proxy) CutReply(after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = max(after, -1)
}

// Match limits LoseReply and CutReply to replies to requests for which f returns true,
// so that a handshake can pass. A nil f matches all requests. f gets one request at a
// time, as the client sent it, and must not keep it.
func (p *Proxy) Match(f func(request []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match = f
}

// Connections returns the number of open client connections.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		if !l.clientGone {
			n++
		}
	}
	return n
}

// Matches reports to an [Inspect] whether a request matches the function set by Match.
func (p *Proxy) Matches(request []byte) bool {
	p.mu.Lock()
	f := p.match
	p.mu.Unlock()
	return f == nil || f(request)
}

// Allow tells an [Inspect] how many bytes of a reply to a matching request may pass. A
// negative number means all.
func (p *Proxy) Allow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose > 0 {
		p.lose--
		return 0
	}
	n := p.cut
	p.cut = -1
	return n
}

func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}

func (p *Proxy) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// leave records that the client of a link has closed its connection. The proxy forgets
// the link if it has no server.
func (p *Proxy) leave(l *link, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.clientGone = true
	if all {
		delete(p.links, l)
	}
}

// alternate is the Inspect for protocols without pipelines. If CutReply allows more
// bytes than one reply has, the cut happens in a later reply.
func alternate(p *Proxy) (requests func([]byte), replies func([]byte) (int, bool)) {
	var asked atomic.Bool
	requests = func(b []byte) {
		if len(b) > 0 && p.Matches(b) {
			asked.Store(true)
		}
	}
	allowed := -1
	replies = func(b []byte) (int, bool) {
		if allowed < 0 && len(b) > 0 && asked.Swap(false) {
			allowed = p.Allow()
		}
		if allowed < 0 {
			return len(b), false
		}
		n := min(allowed, len(b))
		allowed -= n
		return n, allowed == 0
	}
	return requests, replies
}
