package session_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// A recorder notes the calls of the stores and propagators of a test, in their
// order, and lets chosen ones fail.
type recorder struct {
	mu     sync.Mutex
	ops    []string
	faults []fault
	before func(ctx context.Context, op string) // runs before every operation
}

// A fault makes the next operation of that name fail, once.
type fault struct {
	op    string
	after bool // the operation takes effect, and fails then
	err   error
}

func (r *recorder) fail(f ...fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f...)
}

func (r *recorder) on(before func(ctx context.Context, op string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
}

// take returns the operations since the last take, and forgets them and the
// faults.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := strings.Join(r.ops, " ")
	r.ops, r.faults = nil, nil
	return ops
}

// all returns the operations since the last take.
func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

func (r *recorder) start(op string) (f fault, before func(ctx context.Context, op string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
	for i := range r.faults {
		if r.faults[i].op == op {
			f = r.faults[i]
			r.faults = append(r.faults[:i], r.faults[i+1:]...)
			break
		}
	}
	return f, r.before
}

func record[T any](ctx context.Context, r *recorder, op string, f func() (T, error)) (T, error) {
	var none T
	fault, before := r.start(op)
	if before != nil {
		before(ctx, op)
	}
	if fault.err != nil && !fault.after {
		return none, fault.err
	}
	v, err := f()
	if err == nil {
		err = fault.err
	}
	if err != nil {
		return none, err
	}
	return v, nil
}

// effect is record for what returns an error alone.
func effect(ctx context.Context, r *recorder, op string, f func() error) error {
	_, err := record(ctx, r, op, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// A spyStore records the calls of a store that issues tokens.
type spyStore struct {
	session.TokenStore
	*recorder

	grace time.Duration // of the last Rotate
}

func (s *spyStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.recorder, "Generate", func() (session.Session, error) { return s.TokenStore.Generate(ctx, id) })
}

func (s *spyStore) Get(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.recorder, "Get", func() (session.Session, error) { return s.TokenStore.Get(ctx, id) })
}

func (s *spyStore) Open(ctx context.Context, token string) (session.Session, error) {
	return record(ctx, s.recorder, "Open", func() (session.Session, error) { return s.TokenStore.Open(ctx, token) })
}

func (s *spyStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return record(ctx, s.recorder, "Rotate", func() (session.Session, error) {
		s.mu.Lock()
		s.grace = grace
		s.mu.Unlock()
		return s.TokenStore.Rotate(ctx, token, grace)
	})
}

// Unwrap leads to what the store knows of users: spyUsers, if it knows any.
func (s *spyStore) Unwrap() session.Store {
	if us, ok := s.TokenStore.(session.UserStore); ok {
		return &spyUsers{us, s.recorder}
	}
	return s.TokenStore
}

// A spyUsers records the logins of a store that knows users, and nothing else.
type spyUsers struct {
	session.UserStore
	*recorder
}

func (s *spyUsers) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	return record(ctx, s.recorder, "Login", func() (session.Session, error) { return s.UserStore.Login(ctx, token, l) })
}

// Unwrap leads to what else the store can do.
func (s *spyUsers) Unwrap() session.Store { return s.UserStore }

func (s *spyStore) Refresh(ctx context.Context, id string) error {
	return effect(ctx, s.recorder, "Refresh", func() error { return s.TokenStore.Refresh(ctx, id) })
}

func (s *spyStore) Remove(ctx context.Context, id string) error {
	return effect(ctx, s.recorder, "Remove", func() error { return s.TokenStore.Remove(ctx, id) })
}

// A plainStore is somebody else's: four methods, its id is the cookie.
type plainStore struct {
	*recorder

	mu       sync.Mutex
	sessions map[string]*plainSession
}

func (s *plainStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.recorder, "Generate", func() (session.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions[id] != nil {
			return nil, session.ErrExists
		}
		if s.sessions == nil {
			s.sessions = make(map[string]*plainSession)
		}
		s.sessions[id] = &plainSession{id: id}
		return s.sessions[id], nil
	})
}

func (s *plainStore) Get(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.recorder, "Get", func() (session.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if found := s.sessions[id]; found != nil {
			return found, nil
		}
		return nil, session.ErrNotFound
	})
}

func (s *plainStore) Refresh(ctx context.Context, id string) error {
	return effect(ctx, s.recorder, "Refresh", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions[id] == nil {
			return session.ErrNotFound
		}
		return nil
	})
}

func (s *plainStore) Remove(ctx context.Context, id string) error {
	return effect(ctx, s.recorder, "Remove", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, id)
		return nil
	})
}

// A plainSession has no capabilities.
type plainSession struct {
	id     string
	values sync.Map
}

func (s *plainSession) ID() string { return s.id }

func (s *plainSession) Get(_ context.Context, key string) (any, error) {
	v, _ := s.values.Load(key)
	return v, nil
}

func (s *plainSession) Set(_ context.Context, key string, value any) error {
	s.values.Store(key, value)
	return nil
}

// A spyPropagator records "extract", "inject" and "clear".
type spyPropagator struct {
	session.Propagator
	*recorder
}

func (p *spyPropagator) Inject(id string, w http.ResponseWriter) error {
	return effect(context.Background(), p.recorder, "inject", func() error { return p.Propagator.Inject(id, w) })
}

func (p *spyPropagator) Extract(req *http.Request) (string, error) {
	return record(req.Context(), p.recorder, "extract", func() (string, error) { return p.Propagator.Extract(req) })
}

func (p *spyPropagator) Remove(w http.ResponseWriter) error {
	return effect(context.Background(), p.recorder, "clear", func() error { return p.Propagator.Remove(w) })
}

func (p *spyPropagator) Unwrap() session.Propagator { return p.Propagator }

// spied returns a manager over a memory store and cookies, and the record of
// what it does with them.
func spied() (*session.Manager, *recorder) {
	return spiedWith(&memory.Store{}, &cookie.Propagator{})
}

func spiedWith(st session.TokenStore, p session.Propagator) (*session.Manager, *recorder) {
	r := &recorder{}
	return &session.Manager{
		Store:      &spyStore{TokenStore: st, recorder: r},
		Propagator: &spyPropagator{Propagator: p, recorder: r},
	}, r
}

// spiedPlain is spied over a plain store.
func spiedPlain() (*session.Manager, *recorder) {
	r := &recorder{}
	return &session.Manager{
		Store:      &plainStore{recorder: r},
		Propagator: &spyPropagator{Propagator: &cookie.Propagator{}, recorder: r},
	}, r
}
