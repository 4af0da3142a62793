package session

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/dormoron/mist"
)

// A writer is a response writer that knows whether the header is out. It passes everything
// on, but drops a second WriteHeader: mist sends one after a handler has written directly.
type writer struct {
	http.ResponseWriter
	request *requestState // its sessions go into the header

	wrote    atomic.Bool // the header is out
	hijacked atomic.Bool
}

// trackWriter returns the writer of the request and puts it in place if needed.
func trackWriter(ctx *mist.Context, r *requestState) *writer {
	if w, ok := ctx.ResponseWriter.(*writer); ok && w.request == r {
		return w
	}
	w := &writer{ResponseWriter: ctx.ResponseWriter, request: r}
	ctx.ResponseWriter = w
	return w
}

// headerWritten reports whether the header is known to be out. If another response writer
// hides ours, it asks the Middleware's writer.
func (m *Manager) headerWritten(ctx *mist.Context) bool {
	w, ok := unwrap[*writer](ctx.ResponseWriter)
	if !ok {
		w = m.state(ctx).writer
	}
	return w != nil && w.wrote.Load()
}

// beforeHeader notes that the header goes out now, and first adds the pending sessions to
// it. It reports whether the header was out before.
func (w *writer) beforeHeader() (before bool) {
	if w.wrote.Load() || w.wrote.Swap(true) {
		return true
	}
	delivered := false
	defer func() { w.wrote.Store(delivered) }() // if a propagator panics, nothing was sent
	w.request.deliverPending(w)
	delivered = true
	return false
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(code int) {
	// A 1xx status is not the final response, except 101.
	if code >= 200 || code == http.StatusSwitchingProtocols {
		if w.beforeHeader() {
			return
		}
	} else if w.wrote.Load() {
		return
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *writer) Write(p []byte) (int, error) {
	w.beforeHeader()
	return w.ResponseWriter.Write(p)
}

// WriteString is for [io.WriteString].
func (w *writer) WriteString(s string) (int, error) {
	w.beforeHeader()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom is for [io.Copy]. It keeps sendfile working.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	before := w.beforeHeader()
	n, err := io.Copy(w.ResponseWriter, r)
	if n == 0 && !before {
		w.wrote.Store(false) // no data came, so the header is not out
	}
	return n, err
}

// Flush is for handlers that ask for an [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is for [http.ResponseController]. With Unwrap alone, the writer would not
// notice a flush.
func (w *writer) FlushError() error {
	before := w.beforeHeader()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.wrote.Store(before || err == nil)
	return err
}

// Hijack is for handlers that ask for an [http.Hijacker].
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	before := w.beforeHeader()
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.wrote.Store(before || err == nil) // the owner of the connection writes the header
	if err == nil {
		w.hijacked.Store(true)
	}
	return conn, buf, err
}
