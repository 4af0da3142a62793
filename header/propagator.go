// Package header carries the identifier of a session in a header, for clients
// that are programs and not browsers.
package header

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/private"
	"github.com/mist-contrib/session/internal/token"
)

// A Propagator carries the identifier in a header of requests and responses: the client
// sends back the header that a response gave it. The zero value uses the header
// Authorization with the scheme Bearer (RFC 6750, 2.1). No browser sends it by itself, so
// other sites cannot forge requests.
//
// An empty header in a response tells the client to forget the identifier. A response
// without the header changes nothing.
//
// The Propagator refuses a request with two such headers ([session.ErrMultiple]). It
// ignores a header that is malformed or has another scheme ([session.ErrNotFound]).
// A Propagator is safe for concurrent use; its fields must not change after the
// first call.
type Propagator struct {
	// Name is the name of a header whose value is the identifier alone. If it is
	// empty, the header is Authorization with the value "Bearer <identifier>".
	Name string

	once    sync.Once
	invalid error
	name    string // canonical
	scheme  string // before the identifier
}

// maxSize is the length of the longest identifier, in bytes.
const maxSize = 4096

var (
	_ session.Propagator = (*Propagator)(nil)
	_ session.Persistent = (*Propagator)(nil)
	_ session.Explicit   = (*Propagator)(nil)
	_ session.Limited    = (*Propagator)(nil)

	errNoPropagator = errors.New("header: Propagator is nil")
	errNoRequest    = errors.New("header: request is nil")
	errNoWriter     = errors.New("header: response writer is nil")
	errName         = errors.New("header: Name is not a valid header name, or HTTP uses it for something else")

	errMalformed = fmt.Errorf("%w: malformed header", session.ErrNotFound)
	errUnfit     = fmt.Errorf("%w: cannot be a header's value", session.ErrInvalidID)
)

// Check reports what is wrong with the fields.
func (p *Propagator) Check() error {
	if p == nil {
		return errNoPropagator
	}
	p.once.Do(p.init)
	return p.invalid
}

func (p *Propagator) init() {
	p.name = http.CanonicalHeaderKey(p.Name)
	switch p.name {
	case "":
		p.name, p.scheme = "Authorization", "Bearer "
	case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "Host", "Vary", "Cache-Control",
		"Connection", "Content-Length", "Content-Type", "Transfer-Encoding", "Trailer", "Upgrade":
		p.invalid = errName
	default:
		for _, c := range []byte(p.name) {
			letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
			if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) { // RFC 9110, 5.6.2
				p.invalid = errName
			}
		}
	}
}

// Inject sets the header of the response, and Cache-Control: no-store, so that no cache
// gives the identifier to another client. Call it before the response is written. Inject
// fails with [session.ErrInvalidID] and leaves the header as it was if id is empty, is
// longer than 4096 bytes, or has a character that no cookie may have: only visible ASCII
// without quote, comma, semicolon and backslash is allowed.
func (p *Propagator) Inject(id string, writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	if !validValue(id) {
		return errUnfit
	}
	return p.set(writer, p.scheme+id)
}

// InjectFor does the same as Inject: a program keeps the identifier as long as it likes.
func (p *Propagator) InjectFor(id string, _ time.Duration, writer http.ResponseWriter) error {
	return p.Inject(id, writer)
}

// Limit returns the header's name and the size of the longest identifier, 4096 bytes.
func (p *Propagator) Limit() (name string, maxToken int) {
	if p.Check() != nil {
		return "", 0
	}
	return p.name, maxSize
}

// Explicit returns true, because browsers do not set the header by themselves. If a
// gateway makes the header from a cookie, wrap the Propagator and return false.
func (p *Propagator) Explicit() bool { return true }

// Remove tells the client to forget the identifier.
func (p *Propagator) Remove(writer http.ResponseWriter) error {
	if err := p.Check(); err != nil {
		return err
	}
	return p.set(writer, "")
}

func (p *Propagator) set(writer http.ResponseWriter, value string) error {
	if writer == nil {
		return errNoWriter
	}
	private.Set(writer.Header(), p.name, nil, value, p.name)
	return nil
}

// Extract returns the identifier in the request's header. It fails with
// [session.ErrNotFound] if there is none, if it is malformed or if the scheme is another
// one, and with [session.ErrMultiple] if the request has two such headers.
func (p *Propagator) Extract(req *http.Request) (string, error) {
	if err := p.Check(); err != nil {
		return "", err
	}
	if req == nil {
		return "", errNoRequest
	}
	lines := req.Header[p.name]
	switch len(lines) {
	case 0:
		return "", session.ErrNotFound
	case 1:
	default:
		return "", session.ErrMultiple
	}
	id := lines[0]
	if n := len(p.scheme); n > 0 {
		// A scheme is compared without regard to case (RFC 9110, 11.1).
		if len(id) < n || !strings.EqualFold(id[:n], p.scheme) {
			return "", session.ErrNotFound
		}
		id = strings.TrimLeft(id[n:], " ")
	}
	if !validValue(id) {
		return "", errMalformed
	}
	return id, nil
}

// validValue reports whether id can be the value of the header.
func validValue(id string) bool {
	return len(id) <= maxSize && token.CookieValue(id)
}
