package sealed

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// A visit holds the sessions of one request. The server keeps nothing else of them, and drops
// the visit with the request.
type visit struct {
	store    *Store
	carriage *session.Carriage // nil: there is no client to deliver to

	// A call that changes a session holds turn, also while it waits for Revoked or Revoke.
	turn chan struct{}

	mu      sync.Mutex // guards the fields below, the state of records and the view of objects
	records []*record  // at most one for each id
	current *record    // the session that goes to the client; nil: none
	left    []string   // ids of sessions that ended in this request
}

// A record is a session of the request.
type record struct {
	state *state
}

// visit returns the visit of a request. For a context of no request it returns a new one.
func (st *Store) visit(ctx context.Context) *visit {
	c := session.CarriageOf(ctx)
	if c == nil {
		return &visit{store: st, turn: make(chan struct{}, 1)}
	}
	made := func() any { return &visit{store: st, carriage: c, turn: make(chan struct{}, 1)} }
	return c.State(st, made).(*visit) //nolint:forcetypeassert // only made puts it there
}

// begin waits for the call's turn; end gives the turn back.
func (v *visit) begin(ctx context.Context) error {
	select {
	case v.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *visit) end() { <-v.turn }

// name returns the name of the cookie or header that carries the seal.
func (v *visit) name() string {
	if v.carriage == nil {
		return ""
	}
	return v.carriage.Name
}

// fits returns an error if the client has no room for the state and spare more bytes.
func (v *visit) fits(next *state, spare int) error {
	room := maxSeal
	if v.carriage != nil {
		room = min(room, v.carriage.Room)
	}
	if sealLen(len(next.plain)+spare) > room {
		return errRoom
	}
	return nil
}

// give gives the client a new session.
func (v *visit) give(s *state) error {
	if v.carriage == nil || v.carriage.Begin == nil {
		return nil
	}
	return v.carriage.Begin(v.alone(s))
}

// enter makes a session the current one.
func (v *visit) enter(s *state) *object {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leave(s.id)
	v.left = slices.DeleteFunc(v.left, func(id string) bool { return id == s.id })
	r := &record{s}
	v.records, v.current = append(v.records, r), r
	return v.object(r)
}

// leave removes the session of an id from the visit.
func (v *visit) leave(id string) {
	if r := v.record(id); r != nil {
		v.records = slices.DeleteFunc(v.records, func(other *record) bool { return other == r })
		if v.current == r {
			v.current = nil
		}
	}
}

// ended notes that the session of an id has ended. In this request none of its seals opens any
// more.
func (v *visit) ended(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leave(id)
	v.left = append(v.left, id)
}

// record returns the session of an id, or nil.
func (v *visit) record(id string) *record {
	for _, r := range v.records {
		if r.state.id == id {
			return r
		}
	}
	return nil
}

// open returns the session in a seal. If the request has opened that session before, open
// returns the same record, with all its writes. Only the first opened session becomes the
// current one, so a seal that is opened later replaces no other.
func (v *visit) open(ctx context.Context, seal string) (*record, error) {
	st := v.store
	plain, renew, ok := st.open(seal, v.name())
	if !ok {
		return nil, session.ErrNotFound
	}
	f, ok := readFacts(plain)
	if !ok || slices.Contains(v.left, f.id) {
		return nil, session.ErrNotFound
	}
	if r := v.record(f.id); r != nil {
		return r, st.alive(ctx, r.state)
	}
	s := &state{facts: f, plain: plain}
	if err := st.alive(ctx, s); err != nil {
		return nil, err
	}
	r := &record{s}
	v.mu.Lock()
	first := v.current == nil
	if v.records = append(v.records, r); first {
		v.current = r
	}
	v.mu.Unlock()
	switch {
	case !renew:
		s.once.Do(func() { s.seal = seal })
	case first:
		_ = v.carry(s) // after an error, the next write or request replaces the seal
	}
	return r, nil
}

// alive returns nil while r is the current session and has not ended.
func (v *visit) alive(ctx context.Context, r *record) error {
	if r != v.current {
		return session.ErrNotFound
	}
	return v.store.alive(ctx, r.state)
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
func (v *visit) commit(r *record, next *state, spare int) error {
	if err := v.fits(next, spare); err != nil {
		return err
	}
	if err := v.carry(next); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	r.state = next
	return nil
}

// carry gives the client a state.
func (v *visit) carry(s *state) error {
	if v.carriage == nil {
		return nil
	}
	return v.carriage.Carry(v.alone(s))
}

// alone returns a session with that state, in a visit of its own.
func (v *visit) alone(s *state) *object {
	alone := &visit{store: v.store, carriage: v.carriage}
	return alone.object(&record{s})
}

// object returns a session as the request sees it now.
func (v *visit) object(r *record) *object {
	return &object{visit: v, record: r, loaded: r.state, view: r.state.values}
}
