package webtest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// A Recorder notes the calls of stores and propagators in their order, and makes
// chosen calls fail.
type Recorder struct {
	mu     sync.Mutex
	ops    []string
	faults []Fault
	before func(ctx context.Context, op string) // runs before every operation
}

// A Fault makes the next operation named Op fail, once.
type Fault struct {
	Op    string
	After bool // the operation takes effect before it fails
	Err   error
}

func (r *Recorder) Fail(f ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f...)
}

func (r *Recorder) On(before func(ctx context.Context, op string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
}

// Take returns the operations since the last Take, and forgets them and the
// faults.
func (r *Recorder) Take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := strings.Join(r.ops, " ")
	r.ops, r.faults = nil, nil
	return ops
}

// All returns the operations since the last Take.
func (r *Recorder) All() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

func (r *Recorder) start(op string) (f Fault, before func(ctx context.Context, op string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
	for i := range r.faults {
		if r.faults[i].Op == op {
			f = r.faults[i]
			r.faults = append(r.faults[:i], r.faults[i+1:]...)
			break
		}
	}
	return f, r.before
}

func record[T any](ctx context.Context, r *Recorder, op string, f func() (T, error)) (T, error) {
	var none T
	fault, before := r.start(op)
	if before != nil {
		before(ctx, op)
	}
	if fault.Err != nil && !fault.After {
		return none, fault.Err
	}
	v, err := f()
	if err == nil {
		err = fault.Err
	}
	if err != nil {
		return none, err
	}
	return v, nil
}

// effect is record for an operation that returns only an error.
func effect(ctx context.Context, r *Recorder, op string, f func() error) error {
	_, err := record(ctx, r, op, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// A SpyStore records the calls of a store that issues tokens.
type SpyStore struct {
	session.TokenStore
	*Recorder

	Grace time.Duration // of the last Rotate
}

func (s *SpyStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.Recorder, "Generate", func() (session.Session, error) { return s.TokenStore.Generate(ctx, id) })
}

func (s *SpyStore) Get(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.Recorder, "Get", func() (session.Session, error) { return s.TokenStore.Get(ctx, id) })
}

func (s *SpyStore) Open(ctx context.Context, token string) (session.Session, error) {
	return record(ctx, s.Recorder, "Open", func() (session.Session, error) { return s.TokenStore.Open(ctx, token) })
}

func (s *SpyStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return record(ctx, s.Recorder, "Rotate", func() (session.Session, error) {
		s.mu.Lock()
		s.Grace = grace
		s.mu.Unlock()
		return s.TokenStore.Rotate(ctx, token, grace)
	})
}

// Unwrap returns a spyUsers if the store is a UserStore, so that logins are recorded too.
func (s *SpyStore) Unwrap() session.Store {
	if us, ok := s.TokenStore.(session.UserStore); ok {
		return &spyUsers{us, s.Recorder}
	}
	return s.TokenStore
}

// A spyUsers records only the logins of a UserStore.
type spyUsers struct {
	session.UserStore
	*Recorder
}

func (s *spyUsers) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	return record(ctx, s.Recorder, "Login", func() (session.Session, error) { return s.UserStore.Login(ctx, token, l) })
}

// Unwrap returns the store, for its other capabilities.
func (s *spyUsers) Unwrap() session.Store { return s.UserStore }

func (s *SpyStore) Refresh(ctx context.Context, id string) error {
	return effect(ctx, s.Recorder, "Refresh", func() error { return s.TokenStore.Refresh(ctx, id) })
}

func (s *SpyStore) Remove(ctx context.Context, id string) error {
	return effect(ctx, s.Recorder, "Remove", func() error { return s.TokenStore.Remove(ctx, id) })
}

// A PlainStore has only the four methods of a Store. Its ids are the values of the
// cookies.
type PlainStore struct {
	*Recorder

	mu       sync.Mutex
	sessions map[string]*PlainSession
}

func (s *PlainStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.Recorder, "Generate", func() (session.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions[id] != nil {
			return nil, session.ErrExists
		}
		if s.sessions == nil {
			s.sessions = make(map[string]*PlainSession)
		}
		s.sessions[id] = &PlainSession{Handle: id}
		return s.sessions[id], nil
	})
}

func (s *PlainStore) Get(ctx context.Context, id string) (session.Session, error) {
	return record(ctx, s.Recorder, "Get", func() (session.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if found := s.sessions[id]; found != nil {
			return found, nil
		}
		return nil, session.ErrNotFound
	})
}

func (s *PlainStore) Refresh(ctx context.Context, id string) error {
	return effect(ctx, s.Recorder, "Refresh", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions[id] == nil {
			return session.ErrNotFound
		}
		return nil
	})
}

func (s *PlainStore) Remove(ctx context.Context, id string) error {
	return effect(ctx, s.Recorder, "Remove", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, id)
		return nil
	})
}

// A PlainSession has no capabilities.
type PlainSession struct {
	Handle string
	Values sync.Map
}

func (s *PlainSession) ID() string { return s.Handle }

func (s *PlainSession) Get(_ context.Context, key string) (any, error) {
	v, _ := s.Values.Load(key)
	return v, nil
}

func (s *PlainSession) Set(_ context.Context, key string, value any) error {
	s.Values.Store(key, value)
	return nil
}

// A SpyPropagator records "extract", "inject" and "clear".
type SpyPropagator struct {
	session.Propagator
	*Recorder
}

func (p *SpyPropagator) Inject(id string, w http.ResponseWriter) error {
	return effect(context.Background(), p.Recorder, "inject", func() error { return p.Propagator.Inject(id, w) })
}

func (p *SpyPropagator) Extract(req *http.Request) (string, error) {
	return record(req.Context(), p.Recorder, "extract", func() (string, error) { return p.Propagator.Extract(req) })
}

func (p *SpyPropagator) Remove(w http.ResponseWriter) error {
	return effect(context.Background(), p.Recorder, "clear", func() error { return p.Propagator.Remove(w) })
}

func (p *SpyPropagator) Unwrap() session.Propagator { return p.Propagator }

// Spied returns a manager with a memory store and a cookie, and the Recorder of
// both.
func Spied() (*session.Manager, *Recorder) {
	return SpiedWith(&memory.Store{}, &cookie.Propagator{})
}

func SpiedWith(st session.TokenStore, p session.Propagator) (*session.Manager, *Recorder) {
	r := &Recorder{}
	return &session.Manager{
		Store:      &SpyStore{TokenStore: st, Recorder: r},
		Propagator: &SpyPropagator{Propagator: p, Recorder: r},
	}, r
}

// SpiedPlain is Spied with a PlainStore.
func SpiedPlain() (*session.Manager, *Recorder) {
	r := &Recorder{}
	return &session.Manager{
		Store:      &PlainStore{Recorder: r},
		Propagator: &SpyPropagator{Propagator: &cookie.Propagator{}, Recorder: r},
	}, r
}

// Together starts n goroutines that call f. It calls release when each of them has
// ended or is blocked, and returns when all have ended. The caller is in a bubble of
// testing/synctest.
func Together(n int, f func(), release func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(f)
	}
	synctest.Wait()
	release()
	all.Wait()
}
