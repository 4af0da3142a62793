package webtest

import (
	"io"
	"net/http"

	"github.com/mist-contrib/session"
)

// Nowhere is a response writer that discards the body and allocates nothing.
type Nowhere http.Header

func (w Nowhere) Header() http.Header { return http.Header(w) }

func (w Nowhere) Write(p []byte) (int, error) { return len(p), nil }

func (w Nowhere) WriteHeader(int) {}

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

// Passing wraps a response writer as a middleware does that counts bytes.
type Passing struct{ http.ResponseWriter }

func (w Passing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// OnlyReader hides WriteTo, so that io.Copy uses ReadFrom.
type OnlyReader struct{ io.Reader }
