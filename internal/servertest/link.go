package servertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A link is a client's connection to a proxy, together with the proxy's connection to
// the server.
type link struct {
	p          *Proxy
	client     *net.TCPConn
	clientGone bool          // guarded by p.mu
	done       chan struct{} // closed with the link
	once       sync.Once

	mu     sync.Mutex
	server *net.TCPConn // nil: not connected yet
}

// A parcel is data in transit. Parcels are delivered in order, each when it is due.
type parcel struct {
	due  time.Time
	data []byte
	end  ending
}

// An ending is an event after the data of a parcel.
type ending int

const (
	goesOn   ending = iota
	sourceIn        // the source has closed its connection
	resets          // the connection is reset
)

func newLink(p *Proxy, client *net.TCPConn) *link {
	return &link{p: p, client: client, done: make(chan struct{})}
}

// reset closes a connection with RST instead of FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (l *link) close(withReset bool) {
	l.once.Do(func() {
		close(l.done)
		l.p.leave(l, true)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range []*net.TCPConn{l.client, l.server} {
			switch {
			case c == nil:
			case withReset:
				reset(c)
			default:
				_ = c.Close()
			}
		}
	})
}

func (l *link) run() {
	if !l.dial() {
		l.close(true)
		return
	}
	up, down := make(chan parcel, 1024), make(chan parcel, 1024)
	l.p.tasks.Go(func() { l.deliver(up, l.server, l.noMoreRequests) })
	l.p.tasks.Go(func() { l.deliver(down, l.client, func() { l.close(false) }) })
	requests, replies := l.p.inspect(l.p)
	l.p.tasks.Go(func() { l.read(l.server, down, replies) })
	l.read(l.client, up, func(b []byte) (int, bool) {
		requests(b)
		return len(b), false
	})
}

func (l *link) dial() bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	go func() {
		select {
		case <-l.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", l.p.target)
	if err != nil {
		return false
	}
	server, ok := c.(*net.TCPConn)
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done: // the link has already ended
		_ = c.Close()
		return false
	default:
		l.server = server
		return ok
	}
}

// noMoreRequests passes on that the client has closed its connection. The server still
// receives the data sent before.
func (l *link) noMoreRequests() {
	l.p.leave(l, false)
	_ = l.server.CloseWrite()
}

// read puts the data from a connection into parcels. The function inspect says how much
// of the data passes.
func (l *link) read(from *net.TCPConn, to chan<- parcel, inspect func([]byte) (pass int, cut bool)) {
	buf := make([]byte, 32<<10)
	for end := goesOn; end == goesOn; {
		n, err := from.Read(buf)
		due := l.p.due()
		n, cut := inspect(buf[:n])
		switch {
		case cut:
			end = resets
		case err == nil:
		case errors.Is(err, io.EOF):
			end = sourceIn
		default:
			end = resets
		}
		select {
		case to <- parcel{due, bytes.Clone(buf[:n]), end}:
		case <-l.done:
			return
		}
	}
}

// deliver delivers parcels when they are due and the proxy is not stalled. It calls
// closed when the source has closed its connection.
func (l *link) deliver(parcels <-chan parcel, to *net.TCPConn, closed func()) {
	for {
		var next parcel
		select {
		case next = <-parcels:
		case <-l.done:
			return
		}
		if d := time.Until(next.due); d > 0 {
			select {
			case <-time.After(d):
			case <-l.done:
				return
			}
		}
		select {
		case <-l.p.gate():
		case <-l.done:
			return
		}
		if _, err := to.Write(next.data); err != nil {
			l.close(true)
			return
		}
		switch next.end {
		case goesOn:
		case sourceIn:
			closed()
			return
		case resets:
			l.close(true)
			return
		}
	}
}
