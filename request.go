package session

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/dormoron/mist"
)

// requestKey is where a request's state lives in ctx.Keys. Of all that mist
// offers only Keys is fresh for every request: the *mist.Context is pooled with
// its UserValues, the *http.Request and its header map are replaced by
// middlewares in between.
const requestKey = "mist-contrib/session"

// A request is what the managers know of one request.
type request struct {
	began time.Time // when a manager first saw it; never changes

	mu    sync.Mutex // guards everything below, and UserValues of the mist context
	first entry      // one manager is the rule
}

// An entry is what one manager knows of one request.
type entry struct {
	request *request
	manager *Manager
	next    *entry

	slot    *slot  // the session of the request; nil: none loaded yet
	own     slot   // where slot points at first, to save an allocation
	carried string // the identifier that the client sent, or was given; without a slot: that the store does not know

	several bool  // identifiers came
	removed bool  // by RemoveSession: whatever the client sent, nobody is logged in
	failure error // of the store, when it was asked: the answer for the rest of the request
	refused bool  // OnEvent knows that this request got no session
	loading bool
	loaded  chan struct{} // closed when loading ends; nil: nobody waits

	response   *response  // where the session goes, if the store keeps none
	propagator Propagator // by which it goes there

	wrapped bool          // the Middleware is around the request
	origin  *http.Request // as the Middleware got it, for FromContext
	writer  *writer       // that the Middleware put in place
}

// A slot is what stands under CtxSessionKey in UserValues. Its type tells an
// entry of ours from one of the application; whether it is of this request only
// the entry in ctx.Keys tells, because mist hands UserValues on.
type slot struct {
	Session
}

func (s *slot) Unwrap() Session { return s.Session }

// creation serialises the creation of a request's state when goroutines of one
// handler come first together: mist can get and set a key, but not both at once.
//
//nolint:gochecknoglobals // locks that hold no data; shared by all managers of a request
var creation [64]struct {
	sync.Mutex
	_ [56]byte // a cache line each
}

// entry returns what m knows of the request, and makes it.
func (m *Manager) entry(ctx *mist.Context) *entry {
	r := requestOf(ctx)
	if r == nil {
		r = m.create(ctx)
	}
	if r.first.manager == m {
		return &r.first
	}
	if e := r.find(m, nil); e != nil {
		return e
	}
	made := &entry{request: r, manager: m}
	made.response = made.newResponse(ctx)
	return r.find(m, made)
}

// find returns the entry of another Manager than the first, or adds made where there is
// none; it may be nil.
func (r *request) find(m *Manager, made *entry) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := &r.first
	for ; last.next != nil; last = last.next {
		if last.next.manager == m {
			return last.next
		}
	}
	if made != nil {
		for other := &r.first; other != nil; other = other.next {
			if made.response.same(other.response) {
				made.response = other.response
			}
		}
	}
	last.next = made
	return made
}

func requestOf(ctx *mist.Context) *request {
	v, _ := ctx.Get(requestKey)
	r, _ := v.(*request)
	return r
}

// create makes the state of a request, m its first manager, unless another
// goroutine just did.
func (m *Manager) create(ctx *mist.Context) *request {
	made := &request{began: time.Now()}
	made.first.request, made.first.manager = made, m // never changes again
	made.first.response = made.first.newResponse(ctx)
	lock := &creation[(reflect.ValueOf(ctx).Pointer()>>8)%uintptr(len(creation))]
	lock.Lock()
	defer lock.Unlock()
	if r := requestOf(ctx); r != nil {
		return r
	}
	ctx.Set(requestKey, made)
	return made
}

// cached returns the session that this request has already, or nil: ours, or
// one that the application put under CtxSessionKey.
func (e *entry) cached(ctx *mist.Context) Session {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	switch v := ctx.UserValues[e.manager.ctxSessionKey()].(type) {
	case *slot:
		if v == e.slot {
			return v.Session
		}
	case Session:
		carried := ""
		if e.slot != nil && same(v, e.slot.Session) {
			carried = e.carried // it is the one of this request
		}
		e.set(ctx, v, carried)
		return v
	}
	if e.slot == nil {
		return nil
	}
	e.publish(ctx)
	return e.slot.Session
}

func same[T comparable](a, b T) bool {
	return reflect.ValueOf(a).Comparable() && a == b
}

// put makes s the session of the request.
func (e *entry) put(ctx *mist.Context, s Session, carried string) {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	e.set(ctx, s, carried)
}

func (e *entry) set(ctx *mist.Context, s Session, carried string) {
	e.carried, e.removed, e.failure = carried, false, nil
	if e.own.Session == nil {
		e.own.Session = s
		e.slot = &e.own
	} else {
		e.slot = &slot{s}
	}
	e.publish(ctx)
}

// publish puts the session under CtxSessionKey; there is no mist context where
// FromContext loads it.
func (e *entry) publish(ctx *mist.Context) {
	if ctx == nil {
		return
	}
	if ctx.UserValues == nil {
		ctx.UserValues = make(map[string]any, 1)
	}
	ctx.UserValues[e.manager.ctxSessionKey()] = e.slot
}

// sent returns what the client carries; nothing where the application put the
// session there.
func (e *entry) sent() string {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.carried
}

// ambiguous reports whether GetSession found two identifiers, and no session was
// made or put there since.
func (e *entry) ambiguous() bool {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.several && e.slot == nil
}

// forget makes the client drop identifiers of an earlier configuration, if the request
// carries two.
func (e *entry) forget(w http.ResponseWriter, req *http.Request) {
	if w == nil || !e.ambiguous() { // first, because choosing the propagator may read the request
		return
	}
	f, ok := unwrap[Forgetter](e.through(req))
	if !ok {
		return
	}
	e.request.mu.Lock() // several goroutines may ask for the session
	defer e.request.mu.Unlock()
	_ = f.Forget(w) // the request fails with ErrMultiple anyway
}

// drop forgets the session of the request, and that it had any.
func (e *entry) drop(ctx *mist.Context) {
	e.response.exchange(nil) // it has ended
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	e.slot, e.carried, e.removed = nil, "", true
	delete(ctx.UserValues, e.manager.ctxSessionKey())
}

// load loads the session that req names, once for all who ask together. In
// mctx it is published; it may be nil.
func (e *entry) load(ctx context.Context, req *http.Request, mctx *mist.Context) (s Session, err error) {
	carried, err := e.extract(req)
	if err != nil {
		if errors.Is(err, ErrMultiple) {
			e.request.mu.Lock()
			e.several = true
			e.request.mu.Unlock()
		}
		e.refuse(ctx, extraction, "", err)
		return nil, err
	}
	if s, err = e.begin(ctx, carried); s != nil || err != nil {
		return s, err
	}
	defer func() { // also when the store panics
		e.request.mu.Lock()
		defer e.request.mu.Unlock()
		e.end()
		switch {
		case e.slot != nil: // InitSession was faster
			s, err = e.slot.Session, nil
		case e.removed: // and so was RemoveSession
			s, err = nil, ErrNotFound
		case err == nil && s != nil:
			e.set(mctx, s, carried)
		case err == ErrNotFound: //nolint:errorlint // only the plain answer; one with a cause may pass
			e.carried = carried
		case ctx.Err() == nil: // else it was the caller's context that ended, perhaps one of their own
			e.failure = err
		}
	}()
	s, err = e.manager.open(ctx, carried)
	if err != nil {
		e.refuse(ctx, opening, carried, err)
		err = plain(err)
	}
	return s, err
}

// plain takes from an error why there is no session: handlers, and so clients,
// are told no difference.
func plain(err error) error {
	if errors.Is(err, ErrReused) || errors.Is(err, ErrUnproved) || errors.Is(err, ErrExpiredIdle) || errors.Is(err, ErrExpiredAbsolute) {
		return ErrNotFound
	}
	return err
}

// begin waits until nobody else loads. It returns the session that was loaded
// meanwhile, or the error; neither a session nor an error: the caller loads, and calls end.
func (e *entry) begin(ctx context.Context, carried string) (Session, error) {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	for {
		switch {
		case e.slot != nil:
			return e.slot.Session, nil
		case e.removed || e.carried == carried:
			return nil, ErrNotFound
		case e.failure != nil:
			return nil, e.failure
		case !e.loading:
			e.loading = true
			return nil, nil //nolint:nilnil // see above
		}
		if e.loaded == nil {
			e.loaded = make(chan struct{})
		}
		loaded := e.loaded
		e.request.mu.Unlock()
		select {
		case <-loaded:
		case <-ctx.Done():
		}
		e.request.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

func (e *entry) end() {
	e.loading = false
	if e.loaded != nil {
		close(e.loaded)
		e.loaded = nil
	}
}
