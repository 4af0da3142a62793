package sessiontest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// ErrFault is the error of a failing call of a [FaultStore], unless the store has
// an Err of its own.
var ErrFault = errors.New("sessiontest: fault")

// A Fault says what happens to one call.
type Fault int

// The faults.
const (
	None       Fault = iota // the call goes through
	FailBefore              // the store never sees the call
	FailAfter               // the store carries out the call, but its answer is lost
	Hang                    // nothing happens until the context of the call ends
)

// A Call is one call of a [FaultStore] or of a session that it returned.
type Call struct {
	// Op is the method: Generate, Get, Open, Refresh, Remove, Rotate, Login,
	// UserSessions, RemoveUserSessions, Bind, Prove of the store; Session.Get,
	// Session.Set, Session.SetAll, Session.Delete, Session.Clear, Session.Pop,
	// Session.Update, Session.Now of a session.
	Op string
	// N counts all calls, from 1.
	N int
}

// A FaultStore stands between a Manager and a store and lets chosen calls fail. It
// also counts the calls, so without a Plan it shows how often the store is called.
// It has the capabilities of the store behind it and is safe for concurrent use.
type FaultStore struct {
	Store session.Store // the store behind it

	// Plan chooses the fault of a call. A nil Plan chooses [None]. It never runs
	// twice at once, and must not call methods of the FaultStore.
	Plan func(Call) Fault

	// Err is the error of failing calls. Nil means [ErrFault].
	Err error

	mu    sync.Mutex
	calls []Call
}

// Calls returns the calls so far.
func (f *FaultStore) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Reset forgets the calls so far and sets the plan.
func (f *FaultStore) Reset(plan func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.Plan = nil, plan
}

func (f *FaultStore) fault(op string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := Call{Op: op, N: len(f.calls) + 1}
	f.calls = append(f.calls, c)
	if f.Plan == nil {
		return None
	}
	return f.Plan(c)
}

// do makes a call with its fault.
func (f *FaultStore) do(ctx context.Context, op string, call func() error) error {
	fault := f.fault(op)
	if fault == Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if fault != FailBefore {
		if err := call(); err != nil {
			return err
		}
	}
	if fault == None {
		return nil
	}
	if f.Err != nil {
		return f.Err
	}
	return ErrFault
}

func (f *FaultStore) session(ctx context.Context, op string, call func() (session.Session, error)) (session.Session, error) {
	var s session.Session
	err := f.do(ctx, op, func() (err error) {
		s, err = call()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &faultSession{Session: s, store: f}, nil
}

// Generate calls the store, with faults, as the other methods do.
func (f *FaultStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return f.session(ctx, "Generate", func() (session.Session, error) { return f.Store.Generate(ctx, id) })
}

// Get calls the store, with faults.
func (f *FaultStore) Get(ctx context.Context, id string) (session.Session, error) {
	return f.session(ctx, "Get", func() (session.Session, error) { return f.Store.Get(ctx, id) })
}

// Refresh calls the store, with faults.
func (f *FaultStore) Refresh(ctx context.Context, id string) error {
	return f.do(ctx, "Refresh", func() error { return f.Store.Refresh(ctx, id) })
}

// Remove calls the store, with faults.
func (f *FaultStore) Remove(ctx context.Context, id string) error {
	return f.do(ctx, "Remove", func() error { return f.Store.Remove(ctx, id) })
}

// Unwrap leads to the capabilities of the store behind it, which fail by the same
// plan. FaultStore has no such methods itself, because it would then claim
// capabilities for stores that have none.
func (f *FaultStore) Unwrap() session.Store {
	ts, ok := capability[session.TokenStore](f.Store)
	if !ok {
		return f.Store
	}
	tokens := &faultTokens{FaultStore: f, tokens: ts}
	us, ok := capability[session.UserStore](f.Store)
	if !ok {
		return tokens
	}
	users := &faultUsers{faultTokens: tokens, users: us}
	if ds, ok := capability[session.DeviceStore](f.Store); ok {
		return &faultDevices{faultUsers: users, devices: ds}
	}
	return users
}

type faultTokens struct {
	*FaultStore
	tokens session.TokenStore
}

func (f *faultTokens) Open(ctx context.Context, token string) (session.Session, error) {
	return f.session(ctx, "Open", func() (session.Session, error) { return f.tokens.Open(ctx, token) })
}

func (f *faultTokens) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return f.session(ctx, "Rotate", func() (session.Session, error) { return f.tokens.Rotate(ctx, token, grace) })
}

func (f *faultTokens) Unwrap() session.Store { return f.Store }

type faultUsers struct {
	*faultTokens
	users session.UserStore
}

func (f *faultUsers) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	return f.session(ctx, "Login", func() (session.Session, error) { return f.users.Login(ctx, token, l) })
}

func (f *faultUsers) UserSessions(ctx context.Context, user string) (infos []session.Info, err error) {
	err = f.do(ctx, "UserSessions", func() error {
		infos, err = f.users.UserSessions(ctx, user)
		return err
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

func (f *faultUsers) RemoveUserSessions(ctx context.Context, user string, except ...string) (n int, err error) {
	err = f.do(ctx, "RemoveUserSessions", func() error {
		n, err = f.users.RemoveUserSessions(ctx, user, except...)
		return err
	})
	return n, err
}

type faultDevices struct {
	*faultUsers
	devices session.DeviceStore
}

func (f *faultDevices) Bind(ctx context.Context, token string, p session.Proof) (session.Session, error) {
	return f.session(ctx, "Bind", func() (session.Session, error) { return f.devices.Bind(ctx, token, p) })
}

func (f *faultDevices) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	return f.session(ctx, "Prove", func() (session.Session, error) { return f.devices.Prove(ctx, id, p) })
}

// A faultSession fails in the methods that call the store. Its token, its loaded
// values and its times are behind Unwrap.
type faultSession struct {
	session.Session
	store *FaultStore
}

func (s *faultSession) Unwrap() session.Session { return s.Session }

func (s *faultSession) Get(ctx context.Context, key string) (value any, err error) {
	err = s.store.do(ctx, "Session.Get", func() error {
		value, err = s.Session.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (s *faultSession) Set(ctx context.Context, key string, value any) error {
	return s.store.do(ctx, "Session.Set", func() error { return s.Session.Set(ctx, key, value) })
}

func (s *faultSession) SetAll(ctx context.Context, all map[string]any) error {
	return s.store.do(ctx, "Session.SetAll", func() error { return session.SetAll(ctx, s.Session, all) })
}

func (s *faultSession) Delete(ctx context.Context, keys ...string) error {
	return s.store.do(ctx, "Session.Delete", func() error { return session.Delete(ctx, s.Session, keys...) })
}

func (s *faultSession) Clear(ctx context.Context) error {
	return s.store.do(ctx, "Session.Clear", func() error { return session.Clear(ctx, s.Session) })
}

func (s *faultSession) Pop(ctx context.Context, key string) (value any, err error) {
	err = s.store.do(ctx, "Session.Pop", func() error {
		value, err = session.Pop(ctx, s.Session, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (s *faultSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return s.store.do(ctx, "Session.Update", func() error { return session.Update(ctx, s.Session, key, f) })
}

func (s *faultSession) Now(ctx context.Context) (now time.Time, err error) {
	err = s.store.do(ctx, "Session.Now", func() error {
		now, err = session.Now(ctx, s.Session)
		return err
	})
	return now, err
}
