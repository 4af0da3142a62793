package session

import (
	"net/http"
	"time"
)

// A Propagator carries the identifier of a session between server and client:
// a token where the store is a [TokenStore], else the id.
// Implementations are safe for concurrent use.
type Propagator interface {
	// Inject puts id into the header of a response. What cannot travel
	// unchanged is an error that matches [ErrInvalidID], and the header is as it
	// was. It replaces what this propagator put there before.
	Inject(id string, writer http.ResponseWriter) error

	// Extract returns the identifier that a request carries, its shape not yet
	// checked. None, or one that is malformed: an error that matches
	// [ErrNotFound] (and [http.ErrNoCookie] where a cookie is missing). Two:
	// [ErrMultiple]. It allocates nothing in proportion to the request.
	Extract(req *http.Request) (string, error)

	// Remove makes the client forget the identifier.
	Remove(writer http.ResponseWriter) error
}

// A Lasting propagator gives its identifier a lifetime on the client, as a
// cookie with Max-Age has. [Manager.RefreshSession] then injects it again, or
// the client would drop it while the server keeps the session.
type Lasting interface {
	// Lifetime is how long the client keeps what Inject gave it; zero: as long
	// as it runs, or as it likes.
	Lifetime() time.Duration
}

// A Keeper is a [Propagator] that can be told, each time, how long the client
// keeps an identifier. [Login].Persistent needs one.
type Keeper interface {
	// InjectFor is Inject; the client keeps the identifier for that long, also
	// when it is started again, if it keeps any.
	InjectFor(id string, keep time.Duration, writer http.ResponseWriter) error
}

// A Forgetter is a [Propagator] whose client may still hold identifiers that the
// application gave it before its configuration changed, such as cookies with another
// Path. A request that carries two identifiers is refused with [ErrMultiple], and the
// [Manager] then calls Forget, so that the next request carries one.
type Forgetter interface {
	// Forget makes the client drop those identifiers. It does not touch the one that
	// Inject gives. Calling it again has no further effect.
	Forget(writer http.ResponseWriter) error
}

// An Explicit propagator may carry its identifier where no browser puts it by itself,
// as a header that a program sets. [Manager.RequireCSRF] asks sessions that came by it
// for no token.
type Explicit interface {
	// Explicit reports whether no request that another site causes can bring an
	// identifier of this propagator: nothing on the way, such as a gateway, makes it
	// from a cookie.
	Explicit() bool
}

// A Bindable propagator carries its identifier in a cookie, which a browser can bind to
// its device, see [Manager].DeviceBound.
type Bindable interface {
	Propagator
	Keeper

	// Bindable returns why no browser can bind this cookie, or sends it to no handler
	// below path; nil: some can.
	Bindable(path string) error
}
