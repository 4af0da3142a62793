package session

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/dormoron/mist"
)

// A writer is a response writer that knows whether the header is out. It
// changes nothing that passes through, except that it drops a second
// WriteHeader: mist sends one after everything that wrote directly.
type writer struct {
	http.ResponseWriter

	wrote    atomic.Bool // the header is out
	hijacked atomic.Bool
}

// track puts a writer in place, or finds the one that is.
func track(ctx *mist.Context) *writer {
	if w, ok := ctx.ResponseWriter.(*writer); ok {
		return w
	}
	w := &writer{ResponseWriter: ctx.ResponseWriter}
	ctx.ResponseWriter = w
	return w
}

// headerWritten reports whether the header is known to be out: by the writer in
// the request's context, or by the one that the Middleware put there, if another
// that hides it has taken its place.
func (m *Manager) headerWritten(ctx *mist.Context) bool {
	w, ok := unwrap[*writer](ctx.ResponseWriter)
	if !ok {
		w = m.entry(ctx).writer
	}
	return w != nil && w.wrote.Load()
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(code int) {
	// 1xx are not the response, except 101, after which there is no other.
	if code >= 200 || code == http.StatusSwitchingProtocols {
		if w.wrote.Swap(true) {
			return
		}
	} else if w.wrote.Load() {
		return
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *writer) Write(p []byte) (int, error) {
	w.wrote.Store(true)
	return w.ResponseWriter.Write(p)
}

// WriteString is for [io.WriteString].
func (w *writer) WriteString(s string) (int, error) {
	w.wrote.Store(true)
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom is for [io.Copy], and keeps sendfile working.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	before := w.wrote.Swap(true)
	n, err := io.Copy(w.ResponseWriter, r)
	if n == 0 && !before {
		w.wrote.Store(false) // nothing came, so the header has not gone
	}
	return n, err
}

// Flush is for handlers that ask for an [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is for [http.ResponseController]; Unwrap alone would let a flush
// pass by unseen.
func (w *writer) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err == nil {
		w.wrote.Store(true)
	}
	return err
}

// Hijack is for handlers that ask for an [http.Hijacker].
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked.Store(true)
		w.wrote.Store(true) // whoever has the connection writes the header
	}
	return conn, buf, err
}
