package sealed

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// A request holds the sessions of one HTTP request. The server keeps nothing else of them.
type request struct {
	store    *Store
	delivery *session.Delivery // nil: there is no client to deliver to

	// A call that changes a session locks the request, also while it waits for Revoked or Revoke.
	locked chan struct{}

	mu       sync.Mutex // guards the fields below, the state of records and the view of sessions
	records  []*record  // at most one for each id
	current  *record    // the session that goes to the client; nil: none
	endedIDs []string   // ids of sessions that ended in this request
}

// A record is a session of the request.
type record struct {
	state *state
}

// request returns the sessions of a request. For a context of no request there are none.
func (st *Store) request(ctx context.Context) *request {
	c := session.DeliveryOf(ctx)
	if c == nil {
		return &request{store: st, locked: make(chan struct{}, 1)}
	}
	made := func() any { return &request{store: st, delivery: c, locked: make(chan struct{}, 1)} }
	return c.State(st, made).(*request) //nolint:forcetypeassert // only made puts it there
}

// lock waits until no other call of the request runs; unlock lets the next one run.
func (req *request) lock(ctx context.Context) error {
	select {
	case req.locked <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (req *request) unlock() { <-req.locked }

// name returns the name of the cookie or header that carries the seal.
func (req *request) name() string {
	if req.delivery == nil {
		return ""
	}
	return req.delivery.Name
}

// fits returns an error if the client has no room for the state and spare more bytes.
func (req *request) fits(next *state, spare int) error {
	room := maxSeal
	if req.delivery != nil {
		room = min(room, req.delivery.MaxToken)
	}
	if sealLen(len(next.plain)+spare) > room {
		return errRoom
	}
	return nil
}

// deliverNew gives the client a new session.
func (req *request) deliverNew(s *state) error {
	if req.delivery == nil || req.delivery.Begin == nil {
		return nil
	}
	return req.delivery.Begin(req.detached(s))
}

// makeCurrent makes a session the current one.
func (req *request) makeCurrent(s *state) *requestSession {
	req.mu.Lock()
	defer req.mu.Unlock()
	req.drop(s.id)
	req.endedIDs = slices.DeleteFunc(req.endedIDs, func(id string) bool { return id == s.id })
	r := &record{s}
	req.records, req.current = append(req.records, r), r
	return req.newRequestSession(r)
}

// drop removes the session of an id from the request.
func (req *request) drop(id string) {
	if r := req.record(id); r != nil {
		req.records = slices.DeleteFunc(req.records, func(other *record) bool { return other == r })
		if req.current == r {
			req.current = nil
		}
	}
}

// markEnded notes that the session of an id has ended. In this request none of its seals opens any
// more.
func (req *request) markEnded(id string) {
	req.mu.Lock()
	defer req.mu.Unlock()
	req.drop(id)
	req.endedIDs = append(req.endedIDs, id)
}

// record returns the session of an id, or nil.
func (req *request) record(id string) *record {
	for _, r := range req.records {
		if r.state.id == id {
			return r
		}
	}
	return nil
}

// open returns the session in a seal. If the request has opened that session before, open
// returns the same record, with all its writes. Only the first opened session becomes the
// current one, so a seal that is opened later replaces no other.
func (req *request) open(ctx context.Context, seal string) (*record, error) {
	st := req.store
	plain, renew, ok := st.open(seal, req.name())
	if !ok {
		return nil, session.ErrNotFound
	}
	f, ok := readFacts(plain)
	if !ok || slices.Contains(req.endedIDs, f.id) {
		return nil, session.ErrNotFound
	}
	if r := req.record(f.id); r != nil {
		return r, st.alive(ctx, r.state)
	}
	s := &state{facts: f, plain: plain}
	if err := st.alive(ctx, s); err != nil {
		return nil, err
	}
	r := &record{s}
	req.mu.Lock()
	first := req.current == nil
	if req.records = append(req.records, r); first {
		req.current = r
	}
	req.mu.Unlock()
	switch {
	case !renew:
		s.once.Do(func() { s.seal = seal })
	case first:
		_ = req.deliver(s) // after an error, the next write or request replaces the seal
	}
	return r, nil
}

// alive returns nil while r is the current session and has not ended.
func (req *request) alive(ctx context.Context, r *record) error {
	if r != req.current {
		return session.ErrNotFound
	}
	return req.store.alive(ctx, r.state)
}

// alive returns nil while the session has not ended, and otherwise the reason.
func (st *Store) alive(ctx context.Context, s *state) error {
	now := time.Now().UnixNano()
	idle, absolute := s.deadlines()
	switch latest := now + int64(maxSkew); {
	case now >= absolute:
		return session.ErrExpiredAbsolute
	case now >= idle:
		return session.ErrExpiredIdle
	case s.created > latest || s.rotated > latest || s.seen > latest || s.authenticated > latest:
		return session.ErrNotFound
	case s.user == "" || st.Revoked == nil:
		return nil
	}
	revoked, err := st.Revoked(ctx, s.info())
	if err == nil && revoked {
		err = session.ErrNotFound
	}
	return err
}

// commit gives the client the new state of a session, and then stores it in the record.
func (req *request) commit(r *record, next *state, spare int) error {
	if err := req.fits(next, spare); err != nil {
		return err
	}
	if err := req.deliver(next); err != nil {
		return err
	}
	req.mu.Lock()
	defer req.mu.Unlock()
	r.state = next
	return nil
}

// deliver gives the client a state.
func (req *request) deliver(s *state) error {
	if req.delivery == nil {
		return nil
	}
	return req.delivery.Deliver(req.detached(s))
}

// detached returns a session with that state, in a request of its own.
func (req *request) detached(s *state) *requestSession {
	other := &request{store: req.store, delivery: req.delivery}
	return other.newRequestSession(&record{s})
}

// newRequestSession returns a session as the request sees it now.
func (req *request) newRequestSession(r *record) *requestSession {
	return &requestSession{request: req, record: r, loaded: r.state, view: r.state.values}
}
