package session

import (
	"net/http"
	"time"
)

// A Propagator carries the identifier of a session between server and client. That is a
// token if the store is a [TokenStore], else the id. Implementations are safe for
// concurrent use.
type Propagator interface {
	// Inject puts id into the header of a response and replaces what this propagator put
	// there before. If id cannot travel unchanged, Inject fails with an error that matches
	// [ErrInvalidID] and leaves the header unchanged.
	Inject(id string, writer http.ResponseWriter) error

	// Extract returns the identifier that a request carries, without checking its shape.
	// If there is none, or it is malformed, Extract fails with an error that matches
	// [ErrNotFound] (and [http.ErrNoCookie] if a cookie is missing). If there are two, it
	// fails with [ErrMultiple]. It allocates nothing in proportion to the request.
	Extract(req *http.Request) (string, error)

	// Remove makes the client forget the identifier.
	Remove(writer http.ResponseWriter) error
}

// An Expiring propagator gives its identifier a lifetime on the client, like a cookie with
// Max-Age. [Manager.RefreshSession] then injects it again. Otherwise the client would drop
// it while the server keeps the session.
type Expiring interface {
	// Lifetime returns how long the client keeps an injected identifier. Zero: the client
	// decides, usually until it closes.
	Lifetime() time.Duration
}

// A Persistent propagator can make the client keep an identifier for a given time, like a
// persistent cookie. [Login].Persistent needs one.
type Persistent interface {
	// InjectFor injects id like Inject. A client that stores identifiers keeps this one
	// for lifetime, also after a restart.
	InjectFor(id string, lifetime time.Duration, writer http.ResponseWriter) error
}

// A Forgetter is a [Propagator] whose client may still hold identifiers of an earlier
// configuration, such as cookies with another Path. A request that carries two identifiers
// is refused with [ErrMultiple]. The [Manager] then calls Forget, so that the next request
// carries one.
type Forgetter interface {
	// Forget makes the client drop those identifiers. It does not touch the one that
	// Inject gives. Calling it again has no further effect.
	Forget(writer http.ResponseWriter) error
}

// An Explicit propagator may carry its identifier where no browser adds it by itself, such
// as a header that a program sets. [Manager.RequireCSRF] demands no token for such
// sessions.
type Explicit interface {
	// Explicit reports whether requests that another site causes never carry this
	// propagator's identifier. It must be false if something on the way, such as a
	// gateway, makes the identifier from a cookie.
	Explicit() bool
}

// A Bindable propagator carries its identifier in a cookie that a browser can bind to its
// device, see [Manager].DeviceBound.
type Bindable interface {
	Propagator
	Persistent

	// Bindable returns why browsers cannot bind this cookie, or cannot send it to a
	// handler below path. Nil: some browsers can.
	Bindable(path string) error
}
