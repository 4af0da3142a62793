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

	// Begin is called before a session of Generate or Login counts, which takes the
	// place of the one before. Errors as for Carry. Nil: the caller of the store gives
	// the session to the client.
	Begin func(first Session) error

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
		if same(o.owner, owner) {
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
// Nil: ctx belongs to no request, so sessions reach no client.
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
	carriage Carriage
	store    ClientStore

	mu      sync.Mutex
	owner   *entry              // what the Middleware knows, if it is around the request; nil: it has returned
	around  int                 // how many Middlewares are around the request
	writer  http.ResponseWriter // of the last flow of a Manager; nil: none
	request context.Context     //nolint:containedctx // of the first flow: it tells whether the request has ended
	pending Session             // what the client has to be given before the header goes out
}

// newResponse returns where sessions of the request go; nil: the store keeps them.
func (e *entry) newResponse(ctx *mist.Context) *response {
	m := e.manager
	store := m.capabilities().client
	if store == nil {
		return nil
	}
	e.propagator = choose(m.Propagator, ctx.Request)
	r := &response{store: store, owner: e}
	r.carriage.Room, r.carriage.Carry, r.carriage.Begin = unmeasuredRoom, r.carry, r.begin
	if p, ok := unwrap[Measured](e.propagator); ok {
		r.carriage.Name, r.carriage.Room = p.Measure()
	}
	if outer := r.outer(ctx, e.propagator); outer != nil {
		return outer
	}
	return r
}

// outer returns the response of a server around this one that hands its request, and the
// identifier in it, on; nil: there is none.
func (r *response) outer(ctx *mist.Context, p Propagator) *response {
	around, ok := ctx.Request.Context().Value(contextKey{}).(*entry)
	if !ok {
		return nil
	}
	here, _ := p.Extract(ctx.Request)
	for other := &around.request.first; other != nil; other = other.after() {
		if other.origin == nil || !r.same(other.response) {
			continue
		}
		if there, _ := p.Extract(other.origin); there == here {
			return other.response
		}
	}
	return nil
}

// same reports whether sessions go to the same place, from the same store.
func (r *response) same(other *response) bool {
	if r == nil || other == nil || r.carriage.Name == "" || r.carriage.Name != other.carriage.Name {
		return false
	}
	kind := reflect.TypeOf(r.measured())
	return kind == reflect.TypeOf(other.measured()) && same(r.store, other.store)
}

// measured returns the propagator that writes the token.
func (r *response) measured() Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owner == nil {
		return nil
	}
	p, _ := unwrap[Measured](r.owner.propagator)
	return p
}

// through returns the propagator of the request. For a [ClientStore] it is chosen once,
// because its name is in the token.
func (e *entry) through(req *http.Request) Propagator {
	if e.response != nil {
		return e.propagator
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
			if r.writer = mctx.ResponseWriter; r.request == nil {
				r.request = ctx
			}
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
	if request != nil && request.Err() != nil { // nobody sends what the writer holds
		return request.Err()
	}
	return e.give(s, w)
}

// begin gives the client a session that begins, at once. It takes the place of what is
// pending.
func (r *response) begin(s Session) error {
	r.mu.Lock()
	e, w, before := r.owner, r.writer, r.pending
	if e == nil || e.writer != nil && e.writer.wrote.Load() {
		r.mu.Unlock()
		return ErrHeaderWritten
	}
	r.pending = nil
	r.mu.Unlock()
	err := e.give(s, w)
	if err != nil {
		r.exchange(before)
	}
	return err
}

// give gives the client a session.
func (e *entry) give(s Session, w http.ResponseWriter) error {
	if w == nil {
		return errNoWriter
	}
	if t, ok := unwrap[*writer](w); ok && t.wrote.Load() && t != e.writer {
		return ErrHeaderWritten
	}
	carried, err := e.manager.carried(s)
	if err != nil {
		return err
	}
	return e.inject(w, e.propagator, s, carried)
}

// exchange replaces what is pending.
func (r *response) exchange(next Session) (before Session) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.pending = r.pending, next
	return before
}

// enter notes that a Middleware is around the request. From here on the outermost one
// writes the header.
func (r *response) enter(e *entry) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.around++
		if r.owner == nil || r.owner.writer == nil || r.around == 1 {
			r.owner = e
		}
	}
}

// leave gives the client what is pending when a Middleware returns. After the outermost
// a write fails, and nothing of the request is kept for those who keep its session.
func (e *entry) leave() {
	if r := e.response; r != nil {
		r.mu.Lock()
		s := r.pending
		if r.pending, r.around = nil, r.around-1; r.around == 0 {
			r.owner, r.writer, r.request = nil, nil, nil
		}
		r.mu.Unlock()
		e.deliver(s)
	}
}

// deliver gives the client what was pending; it may be nothing.
func (e *entry) deliver(s Session) {
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
			e.deliver(e.response.exchange(nil))
			e.forget(w, e.origin)
		}
	}
}

func (e *entry) after() *entry {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.next
}
