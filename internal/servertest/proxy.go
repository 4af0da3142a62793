package servertest

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy is a TCP proxy before a server, for faults of the network. It begins
// without any. Its methods are safe for concurrent use, and mean connections
// that are there as well as new ones.
type Proxy struct {
	Addr string // where clients connect to

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
	cut    int // bytes of the next reply; none: -1
}

// An Inspect returns the functions that see what passes through one connection:
// requests gets what the client sends, replies what the server sends, and says
// how many bytes of it pass and whether the connection is cut behind them. They
// are called in goroutines of their own.
type Inspect func(p *Proxy) (requests func([]byte), replies func([]byte) (pass int, cut bool))

// NewProxy starts a proxy before the server at target. It ends with the test. A
// nil inspect is for protocols in which a client reads the reply before it sends
// the next request: what comes first after a request is the reply.
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
		if err != nil { // too many open files, perhaps
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

// SetDelay delays what comes from now on, each way, by d. The order stays.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Cut resets all connections, now.
func (p *Proxy) Cut() {
	p.mu.Lock()
	links := p.links
	p.links = make(map[*link]struct{})
	p.mu.Unlock()
	for l := range links {
		l.close(true)
	}
}

// Refuse says whether new connections are closed at once.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Stall says whether nothing passes. Connections stay open, new ones are
// accepted, and what was held passes afterwards.
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

// LoseReply swallows the next n replies and resets their connections: the
// server has done what it was asked, and the client never hears of it. Replies
// to requests before it in a pipeline still pass.
func (p *Proxy) LoseReply(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// CutReply lets the next reply pass only up to so many bytes, and then resets
// the connection. LoseReply goes first; a negative number revokes it.
func (p *Proxy) CutReply(after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = max(after, -1)
}

// Match limits LoseReply and CutReply to replies to those requests for which f
// is true, so that a handshake can pass; nil: to all. f gets one request at a
// time, as the client sends it; it must not keep it.
func (p *Proxy) Match(f func(request []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match = f
}

// Connections returns how many connections of clients are open.
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

// Matches says for an [Inspect] whether a request is one that Match meant.
func (p *Proxy) Matches(request []byte) bool {
	p.mu.Lock()
	f := p.match
	p.mu.Unlock()
	return f == nil || f(request)
}

// Allow says for an [Inspect] how much of a reply to a matching request may pass:
// so many bytes, or all if negative.
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

// leave notes that the client of a link has gone. Without a server, too, the
// link is forgotten.
func (p *Proxy) leave(l *link, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.clientGone = true
	if all {
		delete(p.links, l)
	}
}

// alternate is the Inspect of protocols without pipelines. What CutReply still
// lets pass may be longer than one reply: then it ends in a later one.
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
