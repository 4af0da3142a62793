package session

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/dormoron/mist"
)

// requestKey is the key of a request's state in ctx.Keys. Only Keys is new for every
// request: mist pools the context with its UserValues, and middlewares replace the
// *http.Request and its headers.
const requestKey = "mist-contrib/session"

// A requestState holds the managers' state for one request.
type requestState struct {
	began time.Time // when a manager first saw it; never changes

	mu    sync.Mutex   // guards everything below, and UserValues of the mist context
	first managerState // one manager is the rule
}

// A managerState holds one manager's state for one request.
type managerState struct {
	request *requestState
	manager *Manager
	next    *managerState

	slot       *slot  // the session of the request; nil: none loaded yet
	firstSlot  slot   // where slot points at first, to save an allocation
	identifier string // the client's identifier; without a slot: one that the store does not know

	multiple bool  // the request carries two identifiers
	removed  bool  // RemoveSession ended the session: nobody is logged in
	failure  error // the store's error: the answer for the rest of the request
	refused  bool  // OnEvent knows that this request got no session
	loading  bool
	loaded   chan struct{} // closed when loading ends; nil: nobody waits

	response   *response  // delivers the session of a ClientStore
	propagator Propagator // delivers response's token

	wrapped bool          // the Middleware is around the request
	origin  *http.Request // the request that the Middleware got, for FromContext
	writer  *writer       // the Middleware's writer
}

// A slot is the value that a Manager puts under CtxSessionKey in UserValues. Its type marks
// it as ours and not the application's. mist passes UserValues on, so only the state in
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

// state returns the state of m for the request, and creates it if needed.
func (m *Manager) state(ctx *mist.Context) *managerState {
	r := requestStateOf(ctx)
	if r == nil {
		r = m.create(ctx)
	}
	if r.first.manager == m {
		return &r.first
	}
	if st := r.find(m, nil); st != nil {
		return st
	}
	made := &managerState{request: r, manager: m}
	made.response = made.newResponse(ctx)
	return r.find(m, made)
}

// find returns the state of a Manager that is not the first. If there is none, it adds
// made, which may be nil.
func (r *requestState) find(m *Manager, made *managerState) *managerState {
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

func requestStateOf(ctx *mist.Context) *requestState {
	v, _ := ctx.Get(requestKey)
	r, _ := v.(*requestState)
	return r
}

// create makes the state of a request with m as its first manager, unless another goroutine
// was faster.
func (m *Manager) create(ctx *mist.Context) *requestState {
	made := &requestState{began: time.Now()}
	made.first.request, made.first.manager = made, m // never changes again
	made.first.response = made.first.newResponse(ctx)
	lock := &creation[(reflect.ValueOf(ctx).Pointer()>>8)%uintptr(len(creation))]
	lock.Lock()
	defer lock.Unlock()
	if r := requestStateOf(ctx); r != nil {
		return r
	}
	ctx.Set(requestKey, made)
	return made
}

// cached returns the session that this request already has, or nil. The application may
// have put it under CtxSessionKey.
func (st *managerState) cached(ctx *mist.Context) Session {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	switch v := ctx.UserValues[st.manager.ctxSessionKey()].(type) {
	case *slot:
		if v == st.slot {
			return v.Session
		}
	case Session:
		if ofMist(v) {
			break // mist's own package left it there, perhaps in another visitor's request
		}
		identifier := ""
		if st.slot != nil && same(v, st.slot.Session) {
			identifier = st.identifier // the session of this request
		}
		st.setLocked(ctx, v, identifier)
		return v
	}
	if st.slot == nil {
		return nil
	}
	st.publish(ctx)
	return st.slot.Session
}

// ofMist reports whether s is of mist's own session package.
func ofMist(s Session) bool {
	t := reflect.TypeOf(s)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return strings.HasPrefix(t.PkgPath(), "github.com/dormoron/mist/")
}

func same[T comparable](a, b T) bool {
	return reflect.ValueOf(a).Comparable() && a == b
}

// setSession makes s the session of the request.
func (st *managerState) setSession(ctx *mist.Context, s Session, identifier string) {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	st.setLocked(ctx, s, identifier)
}

func (st *managerState) setLocked(ctx *mist.Context, s Session, identifier string) {
	st.identifier, st.removed, st.failure = identifier, false, nil
	if st.firstSlot.Session == nil {
		st.firstSlot.Session = s
		st.slot = &st.firstSlot
	} else {
		st.slot = &slot{s}
	}
	st.publish(ctx)
}

// publish puts the session under CtxSessionKey. ctx is nil if FromContext loads the
// session.
func (st *managerState) publish(ctx *mist.Context) {
	if ctx == nil {
		return
	}
	if ctx.UserValues == nil {
		ctx.UserValues = make(map[string]any, 1)
	}
	ctx.UserValues[st.manager.ctxSessionKey()] = st.slot
}

// clientIdentifier returns the identifier that the client carries. It is empty if the
// application supplied the session.
func (st *managerState) clientIdentifier() string {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	return st.identifier
}

// ambiguous reports whether GetSession found two identifiers and the request has had no
// session since.
func (st *managerState) ambiguous() bool {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	return st.multiple && st.slot == nil
}

// forgetFormer makes the client drop identifiers of an earlier configuration if the
// request carries two.
func (st *managerState) forgetFormer(w http.ResponseWriter, req *http.Request) {
	if w == nil || !st.ambiguous() { // first, because choosing the propagator may read the request
		return
	}
	f, ok := unwrap[Forgetter](st.propagatorFor(req))
	if !ok {
		return
	}
	st.request.mu.Lock() // several goroutines may ask for the session
	defer st.request.mu.Unlock()
	_ = f.Forget(w) // the request fails with ErrMultiple anyway
}

// dropSession forgets the session of the request. From now on nobody is logged in.
func (st *managerState) dropSession(ctx *mist.Context) {
	st.response.swapPending(nil) // it has ended
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	st.slot, st.identifier, st.removed = nil, "", true
	delete(ctx.UserValues, st.manager.ctxSessionKey())
}

// load loads the session that req names, once for all concurrent callers. It publishes the
// session in mctx, which may be nil.
func (st *managerState) load(ctx context.Context, req *http.Request, mctx *mist.Context) (s Session, err error) {
	identifier, err := st.extract(req)
	if err != nil {
		if errors.Is(err, ErrMultiple) {
			st.request.mu.Lock()
			st.multiple = true
			st.request.mu.Unlock()
		}
		st.emitRefusal(ctx, extractKind, "", err)
		return nil, err
	}
	if s, err = st.beginLoad(ctx, identifier); s != nil || err != nil {
		return s, err
	}
	defer func() { // also when the store panics
		st.request.mu.Lock()
		defer st.request.mu.Unlock()
		st.endLoad()
		switch {
		case st.slot != nil: // InitSession was faster
			s, err = st.slot.Session, nil
		case st.removed: // RemoveSession was faster
			s, err = nil, ErrNotFound
		case err == nil && s != nil:
			st.setLocked(mctx, s, identifier)
		case err == ErrNotFound: //nolint:errorlint // only the plain error; one with a cause may be temporary
			st.identifier = identifier
		case ctx.Err() == nil: // else the caller's context ended, which may be a derived one
			st.failure = err
		}
	}()
	s, err = st.manager.open(ctx, identifier)
	if err != nil {
		st.emitRefusal(ctx, openKind, identifier, err)
		err = withoutReason(err)
	}
	return s, err
}

// withoutReason hides why there is no session: handlers, and so clients, see only
// ErrNotFound.
func withoutReason(err error) error {
	if errors.Is(err, ErrReused) || errors.Is(err, ErrUnproved) || errors.Is(err, ErrExpiredIdle) || errors.Is(err, ErrExpiredAbsolute) {
		return ErrNotFound
	}
	return err
}

// beginLoad waits until no other goroutine loads. It returns the session or the error of
// that load. If it returns neither, the caller loads and then calls endLoad.
func (st *managerState) beginLoad(ctx context.Context, identifier string) (Session, error) {
	st.request.mu.Lock()
	defer st.request.mu.Unlock()
	for {
		switch {
		case st.slot != nil:
			return st.slot.Session, nil
		case st.removed || st.identifier == identifier:
			return nil, ErrNotFound
		case st.failure != nil:
			return nil, st.failure
		case !st.loading:
			st.loading = true
			return nil, nil //nolint:nilnil // see above
		}
		if st.loaded == nil {
			st.loaded = make(chan struct{})
		}
		loaded := st.loaded
		st.request.mu.Unlock()
		select {
		case <-loaded:
		case <-ctx.Done():
		}
		st.request.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

func (st *managerState) endLoad() {
	st.loading = false
	if st.loaded != nil {
		close(st.loaded)
		st.loaded = nil
	}
}
