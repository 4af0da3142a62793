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

// requestKey is the key of a request's state in ctx.Keys. Only Keys is new for every
// request: mist pools the context with its UserValues, and middlewares replace the
// *http.Request and its headers.
const requestKey = "mist-contrib/session"

// A request holds the managers' state for one request.
type request struct {
	began time.Time // when a manager first saw it; never changes

	mu    sync.Mutex // guards everything below, and UserValues of the mist context
	first entry      // one manager is the rule
}

// An entry holds one manager's state for one request.
type entry struct {
	request *request
	manager *Manager
	next    *entry

	slot    *slot  // the session of the request; nil: none loaded yet
	own     slot   // where slot points at first, to save an allocation
	carried string // the client's identifier; without a slot: one that the store does not know

	several bool  // the request carries two identifiers
	removed bool  // RemoveSession ended the session: nobody is logged in
	failure error // the store's error: the answer for the rest of the request
	refused bool  // OnEvent knows that this request got no session
	loading bool
	loaded  chan struct{} // closed when loading ends; nil: nobody waits

	response   *response  // delivers the session of a ClientStore
	propagator Propagator // delivers response's token

	wrapped bool          // the Middleware is around the request
	origin  *http.Request // the request that the Middleware got, for FromContext
	writer  *writer       // the Middleware's writer
}

// A slot is the value that a Manager puts under CtxSessionKey in UserValues. Its type marks
// it as ours and not the application's. mist passes UserValues on, so only the entry in
// ctx.Keys tells whether a slot belongs to this request.
type slot struct {
	Session
}

func (s *slot) Unwrap() Session { return s.Session }

// creation serialises the creation of a request's state when several goroutines of one
// handler come first. mist can get and set a key, but not both in one step.
//
//nolint:gochecknoglobals // locks that hold no data; shared by all managers of a request
var creation [64]struct {
	sync.Mutex
	_ [56]byte // a cache line each
}

// entry returns the entry of m for the request, and creates it if needed.
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

// find returns the entry of a Manager that is not the first. If there is none, it adds
// made, which may be nil.
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

// create makes the state of a request with m as its first manager, unless another goroutine
// was faster.
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

// cached returns the session that this request already has, or nil. The application may
// have put it under CtxSessionKey.
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
			carried = e.carried // the session of this request
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

// publish puts the session under CtxSessionKey. ctx is nil if FromContext loads the
// session.
func (e *entry) publish(ctx *mist.Context) {
	if ctx == nil {
		return
	}
	if ctx.UserValues == nil {
		ctx.UserValues = make(map[string]any, 1)
	}
	ctx.UserValues[e.manager.ctxSessionKey()] = e.slot
}

// sent returns the identifier that the client carries. It is empty if the application
// supplied the session.
func (e *entry) sent() string {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.carried
}

// ambiguous reports whether GetSession found two identifiers and the request has had no
// session since.
func (e *entry) ambiguous() bool {
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	return e.several && e.slot == nil
}

// forget makes the client drop identifiers of an earlier configuration if the request
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

// drop forgets the session of the request. From now on nobody is logged in.
func (e *entry) drop(ctx *mist.Context) {
	e.response.exchange(nil) // it has ended
	e.request.mu.Lock()
	defer e.request.mu.Unlock()
	e.slot, e.carried, e.removed = nil, "", true
	delete(ctx.UserValues, e.manager.ctxSessionKey())
}

// load loads the session that req names, once for all concurrent callers. It publishes the
// session in mctx, which may be nil.
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
		case e.removed: // RemoveSession was faster
			s, err = nil, ErrNotFound
		case err == nil && s != nil:
			e.set(mctx, s, carried)
		case err == ErrNotFound: //nolint:errorlint // only the plain error; one with a cause may be temporary
			e.carried = carried
		case ctx.Err() == nil: // else the caller's context ended, which may be a derived one
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

// plain hides why there is no session: handlers, and so clients, see only ErrNotFound.
func plain(err error) error {
	if errors.Is(err, ErrReused) || errors.Is(err, ErrUnproved) || errors.Is(err, ErrExpiredIdle) || errors.Is(err, ErrExpiredAbsolute) {
		return ErrNotFound
	}
	return err
}

// begin waits until no other goroutine loads. It returns the session or the error of that
// load. If it returns neither, the caller loads and then calls end.
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
