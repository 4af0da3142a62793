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
// delivers it through the [Delivery] in the context of its calls, see [DeliveryOf]. A
// wrapper of such a store must pass the values of contexts on. Get and Refresh know only
// the session of the current request.
type ClientStore interface {
	TokenStore

	// ValidToken reports whether token has the shape of this store's tokens. It replaces
	// the shape that TokenStore describes. A token is a valid cookie value (RFC 6265,
	// 4.1.1).
	ValidToken(token string) bool
}

// A Delivery delivers the sessions of a [ClientStore] to the client of one request. The
// Manager makes it.
type Delivery struct {
	// Name is the name of the cookie or header that carries the token. Empty: not known. A
	// store refuses a token that it made for another name.
	Name string

	// MaxToken is the largest length of a token in bytes.
	MaxToken int

	// Deliver is called before a write to the session takes effect, with the session as it
	// will be. Calls never overlap. If Deliver fails, the write fails and the session is
	// unchanged. [ErrHeaderWritten]: the response header has been sent.
	Deliver func(after Session) error

	// Begin is called before a session of Generate or Login takes effect and replaces the
	// earlier one. Errors as for Deliver. Nil: the caller of the store gives the session to
	// the client.
	Begin func(first Session) error

	mu     sync.Mutex
	states []ownedState
}

// An ownedState is a store's state for one request.
type ownedState struct{ owner, state any }

// State returns the state that owner, a store, keeps for the request. The first call
// creates it.
func (c *Delivery) State(owner any, first func() any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.states {
		if same(o.owner, owner) {
			return o.state
		}
	}
	state := first()
	c.states = append(c.states, ownedState{owner, state})
	return state
}

type deliveryKey struct{}

// WithDelivery returns ctx with a Delivery, for tests of a [ClientStore]. The Manager does
// the same for each request.
func WithDelivery(ctx context.Context, c *Delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, c)
}

// DeliveryOf returns the Delivery of a request, for a [ClientStore]. Nil: ctx belongs to no
// request, so sessions reach no client.
func DeliveryOf(ctx context.Context) *Delivery {
	c, _ := ctx.Value(deliveryKey{}).(*Delivery)
	return c
}

// A Limited propagator tells a [ClientStore] how long a token may be.
type Limited interface {
	// Limit returns the name of the cookie or header, and the largest length of an
	// identifier in it, in bytes. Without Limit it is 3072 bytes.
	Limit() (name string, maxToken int)
}

const defaultMaxToken = 3072 // a cookie of 4096 bytes, less a long name and attributes

// A response delivers the sessions of a [ClientStore]. Managers that answer a request by
// the same cookie or header share it.
type response struct {
	delivery Delivery
	store    ClientStore

	mu          sync.Mutex
	owner       *managerState       // the outermost Middleware's state, if any; nil: that Middleware has returned
	middlewares int                 // how many Middlewares are around the request
	writer      http.ResponseWriter // of the last call of a Manager; nil: none
	request     context.Context     //nolint:containedctx // of the first call: it tells whether the request has ended
	pending     Session             // the session to deliver before the header goes out
}

// newResponse returns the response for the sessions of a request. Nil: the store keeps the
// sessions.
func (st *managerState) newResponse(ctx *mist.Context) *response {
	m := st.manager
	store := m.capabilities().client
	if store == nil {
		return nil
	}
	st.propagator = resolve(m.Propagator, ctx.Request)
	r := &response{store: store, owner: st}
	r.delivery.MaxToken, r.delivery.Deliver, r.delivery.Begin = defaultMaxToken, r.deliver, r.begin
	if p, ok := unwrap[Limited](st.propagator); ok {
		r.delivery.Name, r.delivery.MaxToken = p.Limit()
	}
	if outer := r.outer(ctx, st.propagator); outer != nil {
		return outer
	}
	return r
}

// outer returns the response of an outer server that passed its request and identifier on
// to this one. Nil: there is none.
func (r *response) outer(ctx *mist.Context, p Propagator) *response {
	enclosing, ok := ctx.Request.Context().Value(contextKey{}).(*managerState)
	if !ok {
		return nil
	}
	here, _ := p.Extract(ctx.Request)
	for other := &enclosing.request.first; other != nil; other = other.nextState() {
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
	if r == nil || other == nil || r.delivery.Name == "" || r.delivery.Name != other.delivery.Name {
		return false
	}
	kind := reflect.TypeOf(r.limited())
	return kind == reflect.TypeOf(other.limited()) && same(r.store, other.store)
}

// limited returns the propagator that writes the token.
func (r *response) limited() Limited {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owner == nil {
		return nil
	}
	p, _ := unwrap[Limited](r.owner.propagator)
	return p
}

// propagatorFor returns the propagator of the request. For a [ClientStore] it is chosen
// once, because the token contains its name.
func (st *managerState) propagatorFor(req *http.Request) Propagator {
	if st.response != nil {
		return st.propagator
	}
	return resolve(st.manager.Propagator, req)
}

// context returns the context for the store calls of a request.
func (m *Manager) context(ctx *mist.Context) context.Context {
	return m.state(ctx).context(ctx.Request.Context(), ctx)
}

// context returns ctx with the Delivery that a [ClientStore] needs. mctx may be nil.
func (st *managerState) context(ctx context.Context, mctx *mist.Context) context.Context {
	r := st.response
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
	return WithDelivery(ctx, &r.delivery)
}

// deliver gives the client the session of a [ClientStore]. Behind the Middleware it does so
// once for all writes, just before the header goes out. Otherwise it does so at once.
func (r *response) deliver(s Session) error {
	r.mu.Lock()
	st, w, request := r.owner, r.writer, r.request
	if st == nil || st.writer != nil {
		defer r.mu.Unlock()
		if st == nil || st.writer.wrote.Load() {
			return ErrHeaderWritten
		}
		r.pending = s
		return nil
	}
	r.mu.Unlock()
	if request != nil && request.Err() != nil { // the response is no longer sent
		return request.Err()
	}
	return st.deliver(s, w)
}

// begin gives the client a new session at once. It replaces the pending one.
func (r *response) begin(s Session) error {
	r.mu.Lock()
	st, w, before := r.owner, r.writer, r.pending
	if st == nil || st.writer != nil && st.writer.wrote.Load() {
		r.mu.Unlock()
		return ErrHeaderWritten
	}
	r.pending = nil
	r.mu.Unlock()
	err := st.deliver(s, w)
	if err != nil {
		r.swapPending(before)
	}
	return err
}

// deliver gives the client a session.
func (st *managerState) deliver(s Session, w http.ResponseWriter) error {
	if w == nil {
		return errNoWriter
	}
	if t, ok := unwrap[*writer](w); ok && t.wrote.Load() && t != st.writer {
		return ErrHeaderWritten
	}
	identifier, err := st.manager.identifier(s)
	if err != nil {
		return err
	}
	return st.inject(w, st.propagator, s, identifier)
}

// swapPending replaces the pending session.
func (r *response) swapPending(next Session) (before Session) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.pending = r.pending, next
	return before
}

// attach notes that a Middleware is around the request. From now on the outermost one
// writes the header.
func (r *response) attach(st *managerState) {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.middlewares++
		if r.owner == nil || r.owner.writer == nil || r.middlewares == 1 {
			r.owner = st
		}
	}
}

// detach gives the client the pending session when a Middleware returns. After the
// outermost Middleware, writes fail, and a session that outlives the request keeps
// nothing of it in memory.
func (st *managerState) detach() {
	if r := st.response; r != nil {
		r.mu.Lock()
		s := r.pending
		if r.pending, r.middlewares = nil, r.middlewares-1; r.middlewares == 0 {
			r.owner, r.writer, r.request = nil, nil, nil
		}
		r.mu.Unlock()
		st.deliverPending(s)
	}
}

// deliverPending gives the client s, the pending session. s may be nil.
func (st *managerState) deliverPending(s Session) {
	if s == nil {
		return
	}
	if err := st.deliver(s, st.writer); err != nil { // only a foreign propagator can refuse a token that fits
		st.manager.emit(st.origin.Context(), Event{Kind: EventFailed, Session: st.manager.publicID(s), Cause: err})
	}
}

// deliverPending gives the client the pending sessions of all Managers that use w.
func (r *requestState) deliverPending(w *writer) {
	for st := &r.first; st != nil; st = st.nextState() {
		if st.writer == w {
			st.deliverPending(st.response.swapPending(nil))
			st.forgetFormer(w, st.origin)
		}
	}
}

func (st *managerState) nextState() *managerState {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	return st.next
}
