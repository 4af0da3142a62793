package sealed

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// A visit is what is known of the sessions of one request. It is all that there is of
// them on the server, and only for that time.
type visit struct {
	store    *Store
	carriage *session.Carriage // nil: no client waits for an answer

	mu      sync.Mutex
	records []*record // one for each id
	current *record   // the one that goes to the client; nil: none does
}

// A record is a session of the request. The lock of the visit guards it.
type record struct {
	state *state
}

// visit returns the visit of a request; of no request, one that nobody else has.
func (st *Store) visit(ctx context.Context) *visit {
	c := session.CarriageOf(ctx)
	if c == nil {
		return &visit{store: st}
	}
	return c.State(st, func() any { return &visit{store: st, carriage: c} }).(*visit) //nolint:forcetypeassert // it is ours
}

// name is under what the client carries the seal.
func (v *visit) name() string {
	if v.carriage == nil {
		return ""
	}
	return v.carriage.Name
}

// fits returns an error if the client cannot carry the state.
func (v *visit) fits(next *state) error {
	room := maxSeal
	if v.carriage != nil {
		room = min(room, v.carriage.Room)
	}
	if sealLen(len(next.plain)) > room {
		return errRoom
	}
	return nil
}

// enter makes a session the current one. Whoever asked for it gives it to the client.
func (v *visit) enter(f facts) (session.Session, error) {
	s := stated(f)
	if err := v.fits(s); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.object(v.add(s)), nil
}

func (v *visit) add(s *state) *record {
	if before := v.record(s.id); before != nil {
		v.leave(before)
	}
	r := &record{s}
	v.records, v.current = append(v.records, r), r
	return r
}

// record returns the session of the request that has the id; nil: none has.
func (v *visit) record(id string) *record {
	for _, r := range v.records {
		if r.state.id == id {
			return r
		}
	}
	return nil
}

// leave ends a session for the request.
func (v *visit) leave(r *record) {
	v.records = slices.DeleteFunc(v.records, func(other *record) bool { return other == r })
	if v.current == r {
		v.current = nil
	}
}

// open returns the session in a seal. Where the request has that session already, it is
// the request's, with all that was written to it.
func (v *visit) open(ctx context.Context, seal string) (*record, error) {
	st := v.store
	plain, renew, ok := st.open(seal, v.name())
	if !ok {
		return nil, session.ErrNotFound
	}
	f, ok := readFacts(plain)
	if !ok {
		return nil, session.ErrNotFound
	}
	if r := v.current; r != nil && r.state.id == f.id {
		return r, v.alive(ctx, r)
	}
	s := &state{facts: f, plain: plain}
	if err := st.alive(ctx, s); err != nil {
		return nil, err
	}
	r := v.add(s)
	if renew {
		_ = v.carry(s) // if it cannot be now, then with the next write or request
	} else {
		s.once.Do(func() { s.seal = seal })
	}
	return r, nil
}

// alive returns nil for the current session of the request while it has not ended.
func (v *visit) alive(ctx context.Context, r *record) error {
	if r != v.current {
		return session.ErrNotFound
	}
	return v.store.alive(ctx, r.state)
}

// alive returns nil for a session that has not ended, and why if it has.
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

// commit makes next the state of a session, and tells the client.
func (v *visit) commit(r *record, next *state) error {
	if err := v.fits(next); err != nil {
		return err
	}
	if err := v.carry(next); err != nil {
		return err
	}
	r.state = next
	return nil
}

// carry gives the client a state.
func (v *visit) carry(s *state) error {
	if v.carriage == nil {
		return nil
	}
	alone := &visit{store: v.store, carriage: v.carriage}
	return v.carriage.Carry(alone.object(&record{s}))
}

// object returns a session as the request sees it now.
func (v *visit) object(r *record) *object {
	return &object{visit: v, record: r, loaded: r.state, view: r.state.values}
}
