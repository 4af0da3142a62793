package session

import (
	"context"
	"net/http"
	"reflect"
	"sync"

	"github.com/dormoron/mist"
)

// A ClientStore is a [TokenStore] that keeps nothing: each session is in the token that
// its client carries, whole. The token changes with the session, so the client has to be
// given another one in each response that comes after a write. How it gets there, the
// store finds in the context of its calls, see [CarriageOf], so a wrapper of such a store
// passes on the values of contexts. Get and Refresh know only the session of that request.
type ClientStore interface {
	TokenStore

	// ValidToken reports whether token could be one of this store's, by its shape
	// alone. It takes the place of the shape that TokenStore describes. A token is a
	// value that a cookie can have (RFC 6265, 4.1.1).
	ValidToken(token string) bool
}

// A Carriage brings the sessions of a [ClientStore] to the client of one request. The
// Manager makes it.
type Carriage struct {
	// Name is under what the client carries the token, such as the name of a cookie.
	// Empty: that is not known. A store refuses a token that it made for another name.
	Name string

	// Room is how many bytes a token may have.
	Room int

	// Carry is called before a write to the session of the request counts, with the
	// session as it will be. It is called for one write after the other. After an
	// error the write has failed, and the session is as it was. [ErrHeaderWritten]:
	// the response is out.
	Carry func(after Session) error

	mu     sync.Mutex
	states []owned
}

// An owned is what a store keeps for the time of a request.
type owned struct{ owner, state any }

// State returns what owner, a store, keeps for the time of the request; the first call
// makes it.
func (c *Carriage) State(owner any, first func() any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.states {
		if o.owner == owner {
			return o.state
		}
	}
	state := first()
	c.states = append(c.states, owned{owner, state})
	return state
}

type carriageKey struct{}

// WithCarriage returns ctx with a Carriage, for tests of a [ClientStore]. The Manager does
// so for each request.
func WithCarriage(ctx context.Context, c *Carriage) context.Context {
	return context.WithValue(ctx, carriageKey{}, c)
}

// CarriageOf returns how the sessions of a request reach its client, for a [ClientStore].
// Nil: ctx is that of no request, and nothing does.
func CarriageOf(ctx context.Context) *Carriage {
	c, _ := ctx.Value(carriageKey{}).(*Carriage)
	return c
}

// A Measured propagator tells a [ClientStore] what there is to carry a token in.
type Measured interface {
	// Measure returns the name of the cookie or header, and how many bytes an
	// identifier in it may have. A propagator that is not Measured takes 3072.
	Measure() (name string, room int)
}

const unmeasuredRoom = 3072 // a cookie of 4096 bytes, less a long name and attributes

// A response is where the sessions of a [ClientStore] go. Managers that answer one
// request by one cookie, or header, share it.
type response struct {
	carriage   Carriage
	store      Store
	propagator Propagator // chosen once, because its name is in the token

	mu      sync.Mutex
	owner   *entry              // of the first of the Managers, or of their Middleware; nil: that has returned
	writer  http.ResponseWriter // of the last flow of a Manager; nil: none
	request context.Context     //nolint:containedctx // of that flow: it tells whether that has ended
	pending Session             // what the client has to be given before the header goes out
}

// newResponse returns where sessions of the request go; nil: the store keeps them.
func (e *entry) newResponse(ctx *mist.Context) *response {
	m := e.manager
	if _, ok := unwrap[ClientStore](m.Store); !ok {
		return nil
	}
	r := &response{store: m.Store, propagator: choose(m.Propagator, ctx.Request), owner: e}
	r.carriage.Room, r.carriage.Carry = unmeasuredRoom, r.carry
	if p, ok := unwrap[Measured](r.propagator); ok {
		r.carriage.Name, r.carriage.Room = p.Measure()
	}
	requests := []*request{e.request}
	if w, ok := unwrap[*writer](ctx.ResponseWriter); ok {
		requests = append(requests, w.request) // of a server around this one
	}
	for _, request := range requests {
		for other := &request.first; other != nil; other = other.after() {
			if o := other.response; o != nil && same(o.store, r.store) && carryAlike(o.propagator, r.propagator) {
				return o
			}
		}
	}
	return r
}

// carryAlike reports whether two propagators carry a token in the same cookie or header.
func carryAlike(a, b Propagator) bool {
	if same(a, b) {
		return true
	}
	x, _ := unwrap[Measured](a)
	y, _ := unwrap[Measured](b)
	if x == nil || y == nil || reflect.TypeOf(x) != reflect.TypeOf(y) { // a cookie is no header of its name
		return false
	}
	name, _ := x.Measure()
	other, _ := y.Measure()
	return name != "" && name == other
}

// through returns the propagator of the request.
func (e *entry) through(req *http.Request) Propagator {
	if e.response != nil {
		return e.response.propagator
	}
	return choose(e.manager.Propagator, req)
}

// context returns the context for the calls of the store in a flow of the request.
func (m *Manager) context(ctx *mist.Context) context.Context {
	return m.entry(ctx).context(ctx.Request.Context(), ctx)
}

// context returns ctx with what a [ClientStore] needs; mctx may be nil.
func (e *entry) context(ctx context.Context, mctx *mist.Context) context.Context {
	r := e.response
	if r == nil {
		return ctx
	}
	if mctx != nil {
		r.mu.Lock()
		if r.owner != nil {
			r.writer, r.request = mctx.ResponseWriter, ctx
		}
		r.mu.Unlock()
	}
	return WithCarriage(ctx, &r.carriage)
}

// carry gives the client the session of a [ClientStore]: at once, or where the
// Middleware is around the request just before the header goes out, once for all writes.
func (r *response) carry(s Session) error {
	r.mu.Lock()
	e, w, request := r.owner, r.writer, r.request
	if e == nil || e.writer != nil {
		defer r.mu.Unlock()
		if e == nil || e.writer.wrote.Load() {
			return ErrHeaderWritten
		}
		r.pending = s
		return nil
	}
	r.mu.Unlock()
	if t, ok := unwrap[*writer](w); ok && t.wrote.Load() {
		return ErrHeaderWritten
	}
	if request != nil {
		if err := request.Err(); err != nil { // nobody sends what the writer holds
			return err
		}
	}
	return e.give(s, w)
}

// give gives the client a session.
func (e *entry) give(s Session, w http.ResponseWriter) error {
	if w == nil {
		return errNoWriter
	}
	carried, err := e.manager.carried(s)
	if err != nil {
		return err
	}
	return e.inject(w, e.response.propagator, s, carried)
}

// lead lets the Middleware of e give the client what is pending, unless that of another
// Manager does. A Manager without one may have seen the request first.
func (r *response) lead(e *entry) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.owner != nil && r.owner.writer == nil {
			r.owner = e
		}
	}
}

// forget forgets what is pending, because the session has ended or another one has
// taken its place.
func (r *response) forget() {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pending = nil
	}
}

// deliver gives the client what is pending. The header goes out next, or the
// Middleware returns: then finished.
func (e *entry) deliver(finished bool) {
	r := e.response
	if r == nil {
		return
	}
	r.mu.Lock()
	s := r.pending
	r.pending = nil
	if finished && r.owner == e {
		r.owner, r.writer, r.request = nil, nil, nil // whoever keeps the session does not keep the request
	}
	r.mu.Unlock()
	if s == nil {
		return
	}
	if err := e.give(s, e.writer); err != nil { // only a propagator of somebody else's refuses what has room
		e.manager.emit(e.origin.Context(), Event{Kind: EventFailed, Session: e.manager.handle(s), Cause: err})
	}
}

// deliver gives the client what is pending of all Managers that know of w.
func (r *request) deliver(w *writer) {
	for e := &r.first; e != nil; e = e.after() {
		if e.writer == w {
			e.deliver(false)
		}
	}
}

func (e *entry) after() *entry {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.next
}
