package webtest

import (
	"io"
	"net/http"

	"github.com/mist-contrib/session"
)

// DiscardWriter is a response writer that discards the body and allocates nothing.
type DiscardWriter http.Header

func (w DiscardWriter) Header() http.Header { return http.Header(w) }

func (w DiscardWriter) Write(p []byte) (int, error) { return len(p), nil }

func (w DiscardWriter) WriteHeader(int) {}

// Wrapped wraps a session and keeps its capabilities.
type Wrapped struct{ session.Session }

func (w Wrapped) Unwrap() session.Session { return w.Session }

// Opaque wraps a session and hides its capabilities.
type Opaque struct{ session.Session }

type WrappedStore struct{ session.Store }

func (w WrappedStore) Unwrap() session.Store { return w.Store }

type OpaqueStore struct{ session.Store }

type WrappedPropagator struct{ session.Propagator }

func (w WrappedPropagator) Unwrap() session.Propagator { return w.Propagator }

type OpaquePropagator struct{ session.Propagator }

// UnwrappingWriter wraps a response writer as a middleware does that counts bytes.
type UnwrappingWriter struct{ http.ResponseWriter }

func (w UnwrappingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// OnlyReader hides WriteTo, so that io.Copy uses ReadFrom.
type OnlyReader struct{ io.Reader }
