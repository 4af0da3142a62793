package session

import (
	"context"
	"net/http"
	"sync"

	"github.com/dormoron/mist"
)

// A ClientStore is a [TokenStore] that keeps nothing: each session is in the token that
// its client carries, whole. The token changes with the session, so the client has to be
// given another one in each response that comes after a write. How it gets there, the
// store finds in the context of its calls, see [CarriageOf]. Get and Refresh know only
// the session of that request.
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

// A response is where the session of a [ClientStore] goes.
type response struct {
	carriage Carriage

	request  *http.Request       // as a flow of the Manager saw it last
	writer   http.ResponseWriter // of that flow; nil: none
	pending  Session             // what the client has to be given before the header goes out
	finished bool                // the Middleware has returned
}

// newResponse returns where sessions of the request go; nil: the store keeps them.
func (e *entry) newResponse(req *http.Request) *response {
	if _, ok := unwrap[ClientStore](e.manager.Store); !ok {
		return nil
	}
	r := &response{carriage: Carriage{Room: unmeasuredRoom, Carry: e.carry}, request: req}
	if p, ok := unwrap[Measured](choose(e.manager.Propagator, req)); ok {
		r.carriage.Name, r.carriage.Room = p.Measure()
	}
	return r
}

// context returns the context for the calls of the store in a flow of the request.
func (m *Manager) context(ctx *mist.Context) context.Context {
	return m.entry(ctx).context(ctx.Request.Context(), ctx)
}

// context returns ctx with what a [ClientStore] needs; mctx may be nil.
func (e *entry) context(ctx context.Context, mctx *mist.Context) context.Context {
	if e.response == nil {
		return ctx
	}
	if mctx != nil {
		e.request.mu.Lock()
		e.response.request, e.response.writer = mctx.Request, mctx.ResponseWriter
		e.request.mu.Unlock()
	}
	return WithCarriage(ctx, &e.response.carriage)
}

// carry gives the client the session of a [ClientStore]: at once, or where the
// Middleware is around the request just before the header goes out, once for all writes.
func (e *entry) carry(s Session) error {
	e.request.mu.Lock()
	r := e.response
	if e.writer == nil {
		req, w := r.request, r.writer
		e.request.mu.Unlock()
		return e.give(s, req, w)
	}
	defer e.request.mu.Unlock()
	if r.finished || e.writer.wrote.Load() {
		return ErrHeaderWritten
	}
	r.pending = s
	return nil
}

// give gives the client a session at once.
func (e *entry) give(s Session, req *http.Request, w http.ResponseWriter) error {
	if w == nil {
		return errNoWriter
	}
	if t, ok := unwrap[*writer](w); ok && t.wrote.Load() || req.Context().Err() != nil {
		return ErrHeaderWritten // the server ends the context when the request is over
	}
	carried, err := e.manager.carried(s)
	if err != nil {
		return err
	}
	return e.manager.injectInto(w, req, s, carried)
}

// deliver gives the client what is pending. The header goes out next, or the
// Middleware returns: then finished.
func (e *entry) deliver(finished bool) {
	if e.response == nil || e.writer == nil {
		return
	}
	e.request.mu.Lock()
	s, req := e.response.pending, e.response.request
	e.response.pending, e.response.finished = nil, e.response.finished || finished
	e.request.mu.Unlock()
	if s == nil {
		return
	}
	carried, err := e.manager.carried(s)
	if err == nil {
		err = e.manager.injectInto(e.writer, req, s, carried)
	}
	if err != nil { // only a propagator of somebody else's can refuse what has room
		e.manager.emit(req.Context(), Event{Kind: EventFailed, Session: e.manager.handle(s), Cause: err})
	}
}

// deliver gives the client what is pending of all managers.
func (r *request) deliver() {
	for e := &r.first; e != nil; e = e.after() {
		e.deliver(false)
	}
}

func (e *entry) after() *entry {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.next
}
