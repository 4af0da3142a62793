package session

import (
	"context"
	"net/http"
	"reflect"
	"sync"

	"github.com/dormoron/mist"
)

// A ClientStore is a [TokenStore] that keeps nothing: the client's token holds the whole
// session. Each write changes the token, so the response must carry a new one. The store
// delivers it through the [Carriage] in the context of its calls, see [CarriageOf]. A
// wrapper of such a store must pass the values of contexts on. Get and Refresh know only
// the session of the current request.
type ClientStore interface {
	TokenStore

	// ValidToken reports whether token has the shape of this store's tokens. It replaces
	// the shape that TokenStore describes. A token is a valid cookie value (RFC 6265,
	// 4.1.1).
	ValidToken(token string) bool
}

// A Carriage delivers the sessions of a [ClientStore] to the client of one request. The
// Manager makes it.
type Carriage struct {
	// Name is the name of the cookie or header that carries the token. Empty: not known. A
	// store refuses a token that it made for another name.
	Name string

	// Room is the largest length of a token in bytes.
	Room int

	// Carry is called before a write to the session takes effect, with the session as it
	// will be. Calls never overlap. If Carry fails, the write fails and the session is
	// unchanged. [ErrHeaderWritten]: the response header has been sent.
	Carry func(after Session) error

	// Begin is called before a session of Generate or Login takes effect and replaces the
	// earlier one. Errors as for Carry. Nil: the caller of the store gives the session to
	// the client.
	Begin func(first Session) error

	mu     sync.Mutex
	states []owned
}

// An owned is a store's state for one request.
type owned struct{ owner, state any }

// State returns the state that owner, a store, keeps for the request. The first call
// creates it.
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
// the same for each request.
func WithCarriage(ctx context.Context, c *Carriage) context.Context {
	return context.WithValue(ctx, carriageKey{}, c)
}

// CarriageOf returns the Carriage of a request, for a [ClientStore]. Nil: ctx belongs to no
// request, so sessions reach no client.
func CarriageOf(ctx context.Context) *Carriage {
	c, _ := ctx.Value(carriageKey{}).(*Carriage)
	return c
}

// A Measured propagator tells a [ClientStore] how much room its cookie or header has.
type Measured interface {
	// Measure returns the name of the cookie or header, and how many bytes an identifier
	// in it may have. Without Measure the room is 3072 bytes.
	Measure() (name string, room int)
}

const unmeasuredRoom = 3072 // a cookie of 4096 bytes, less a long name and attributes

// A response delivers the sessions of a [ClientStore]. Managers that answer a request by
// the same cookie or header share it.
type response struct {
	carriage Carriage
	store    ClientStore

	mu      sync.Mutex
	owner   *entry              // the outermost Middleware's entry, if any; nil: that Middleware has returned
	around  int                 // how many Middlewares are around the request
	writer  http.ResponseWriter // of the last call of a Manager; nil: none
	request context.Context     //nolint:containedctx // of the first call: it tells whether the request has ended
	pending Session             // the session to deliver before the header goes out
}

// newResponse returns the response for the sessions of a request. Nil: the store keeps the
// sessions.
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

// outer returns the response of an outer server that passed its request and identifier on
// to this one. Nil: there is none.
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

// same reports whether both responses deliver sessions of the same store to the same place.
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
// because the token contains its name.
func (e *entry) through(req *http.Request) Propagator {
	if e.response != nil {
		return e.propagator
	}
	return choose(e.manager.Propagator, req)
}

// context returns the context for the store calls of a request.
func (m *Manager) context(ctx *mist.Context) context.Context {
	return m.entry(ctx).context(ctx.Request.Context(), ctx)
}

// context returns ctx with the Carriage that a [ClientStore] needs. mctx may be nil.
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

// carry gives the client the session of a [ClientStore]. Behind the Middleware it does so
// once for all writes, just before the header goes out. Otherwise it does so at once.
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
	if request != nil && request.Err() != nil { // the response is no longer sent
		return request.Err()
	}
	return e.give(s, w)
}

// begin gives the client a new session at once. It replaces the pending one.
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

// exchange replaces the pending session.
func (r *response) exchange(next Session) (before Session) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.pending = r.pending, next
	return before
}

// enter notes that a Middleware is around the request. From now on the outermost one writes
// the header.
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

// leave gives the client the pending session when a Middleware returns. After the outermost
// Middleware, writes fail, and a session that outlives the request keeps nothing of it in
// memory.
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

// deliver gives the client s, the pending session. s may be nil.
func (e *entry) deliver(s Session) {
	if s == nil {
		return
	}
	if err := e.give(s, e.writer); err != nil { // only a foreign propagator can refuse a token that fits
		e.manager.emit(e.origin.Context(), Event{Kind: EventFailed, Session: e.manager.handle(s), Cause: err})
	}
}

// deliver gives the client the pending sessions of all Managers that use w.
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
