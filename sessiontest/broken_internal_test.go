package sessiontest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// A brokenStore is a memory store with one defect: the hooks that are set take the place
// of its methods. The rules have to find the defect.
type brokenStore struct {
	*memory.Store

	generate func(ctx context.Context, id string) (session.Session, error)
	refresh  func(ctx context.Context, id string) error
	remove   func(ctx context.Context, id string) error
	get      func(ctx context.Context, id string) (session.Session, error)
	open     func(ctx context.Context, token string) (session.Session, error)
	rotate   func(ctx context.Context, token string, grace time.Duration) (session.Session, error)
	login    func(ctx context.Context, token string, l session.Login) (session.Session, error)
	list     func(ctx context.Context, user string) ([]session.Info, error)
	revoke   func(ctx context.Context, user string, except ...string) (int, error)
	bind     func(ctx context.Context, token string, p session.Proof) (session.Session, error)
	prove    func(ctx context.Context, id string, p session.Proof) (session.Session, error)

	// onSession breaks a session. It is called for each session that the store returns.
	onSession func(s *brokenSession)

	mu    sync.Mutex
	notes map[string]any // what the hooks remember
}

// note remembers v under key and returns what was there.
func (b *brokenStore) note(key string, v any) (before any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before = b.notes[key]
	if b.notes == nil {
		b.notes = make(map[string]any)
	}
	b.notes[key] = v
	return before
}

func (b *brokenStore) noted(key string) any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notes[key]
}

func (b *brokenStore) wrap(s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	if b.onSession == nil {
		return s, nil
	}
	if c, ok := s.(*brokenSession); ok {
		return c, nil
	}
	c := &brokenSession{Session: s, store: b}
	b.onSession(c)
	return c, nil
}

func (b *brokenStore) Generate(ctx context.Context, id string) (session.Session, error) {
	if b.generate != nil {
		return b.wrap(b.generate(ctx, id))
	}
	return b.wrap(b.Store.Generate(ctx, id))
}

func (b *brokenStore) Get(ctx context.Context, id string) (session.Session, error) {
	if b.get != nil {
		return b.wrap(b.get(ctx, id))
	}
	return b.wrap(b.Store.Get(ctx, id))
}

func (b *brokenStore) Open(ctx context.Context, token string) (session.Session, error) {
	if b.open != nil {
		return b.wrap(b.open(ctx, token))
	}
	return b.wrap(b.Store.Open(ctx, token))
}

func (b *brokenStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	if b.rotate != nil {
		return b.wrap(b.rotate(ctx, token, grace))
	}
	return b.wrap(b.Store.Rotate(ctx, token, grace))
}

func (b *brokenStore) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	if b.login != nil {
		return b.wrap(b.login(ctx, token, l))
	}
	return b.wrap(b.Store.Login(ctx, token, l))
}

func (b *brokenStore) Bind(ctx context.Context, token string, p session.Proof) (session.Session, error) {
	if b.bind != nil {
		return b.wrap(b.bind(ctx, token, p))
	}
	return b.wrap(b.Store.Bind(ctx, token, p))
}

func (b *brokenStore) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	if b.prove != nil {
		return b.wrap(b.prove(ctx, id, p))
	}
	return b.wrap(b.Store.Prove(ctx, id, p))
}

func (b *brokenStore) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	if b.list != nil {
		return b.list(ctx, user)
	}
	return b.Store.UserSessions(ctx, user)
}

func (b *brokenStore) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	if b.revoke != nil {
		return b.revoke(ctx, user, except...)
	}
	return b.Store.RemoveUserSessions(ctx, user, except...)
}

func (b *brokenStore) Refresh(ctx context.Context, id string) error {
	if b.refresh != nil {
		return b.refresh(ctx, id)
	}
	return b.Store.Refresh(ctx, id)
}

func (b *brokenStore) Remove(ctx context.Context, id string) error {
	if b.remove != nil {
		return b.remove(ctx, id)
	}
	return b.Store.Remove(ctx, id)
}

// A brokenSession is a session of a brokenStore.
type brokenSession struct {
	session.Session
	store *brokenStore

	getHook    func(ctx context.Context, key string) (any, error)
	setHook    func(ctx context.Context, key string, value any) error
	setAllHook func(ctx context.Context, values map[string]any) error
	deleteHook func(ctx context.Context, keys ...string) error
	clearHook  func(ctx context.Context) error
	popHook    func(ctx context.Context, key string) (any, error)
	updateHook func(ctx context.Context, key string, f func(any) (any, error)) error
	allHook    func(ctx context.Context) iter.Seq2[string, any]
	infoHook   func() session.Info
	tokenHook  func() string
	nowHook    func(ctx context.Context) (time.Time, error)
}

func (s *brokenSession) Unwrap() session.Session { return s.Session }

func (s *brokenSession) Get(ctx context.Context, key string) (any, error) {
	if s.getHook != nil {
		return s.getHook(ctx, key)
	}
	return s.Session.Get(ctx, key)
}

func (s *brokenSession) Set(ctx context.Context, key string, value any) error {
	if s.setHook != nil {
		return s.setHook(ctx, key, value)
	}
	return s.Session.Set(ctx, key, value)
}

func (s *brokenSession) SetAll(ctx context.Context, values map[string]any) error {
	if s.setAllHook != nil {
		return s.setAllHook(ctx, values)
	}
	return session.SetAll(ctx, s.Session, values)
}

func (s *brokenSession) Delete(ctx context.Context, keys ...string) error {
	if s.deleteHook != nil {
		return s.deleteHook(ctx, keys...)
	}
	return session.Delete(ctx, s.Session, keys...)
}

func (s *brokenSession) Clear(ctx context.Context) error {
	if s.clearHook != nil {
		return s.clearHook(ctx)
	}
	return session.Clear(ctx, s.Session)
}

func (s *brokenSession) Pop(ctx context.Context, key string) (any, error) {
	if s.popHook != nil {
		return s.popHook(ctx, key)
	}
	return session.Pop(ctx, s.Session, key)
}

func (s *brokenSession) Update(ctx context.Context, key string, f func(any) (any, error)) error {
	if s.updateHook != nil {
		return s.updateHook(ctx, key, f)
	}
	return session.Update(ctx, s.Session, key, f)
}

func (s *brokenSession) All(ctx context.Context) iter.Seq2[string, any] {
	if s.allHook != nil {
		return s.allHook(ctx)
	}
	return values(ctx, s.Session)
}

func (s *brokenSession) Info() session.Info {
	if s.infoHook != nil {
		return s.infoHook()
	}
	info, _ := session.Describe(s.Session)
	return info
}

func (s *brokenSession) Now(ctx context.Context) (time.Time, error) {
	if s.nowHook != nil {
		return s.nowHook(ctx)
	}
	return session.Now(ctx, s.Session)
}

func (s *brokenSession) Token() string {
	if s.tokenHook != nil {
		return s.tokenHook()
	}
	return session.Token(s.Session)
}

// stored loads the session anew, without its hooks.
func (s *brokenSession) stored(ctx context.Context) (session.Session, error) {
	return s.store.Store.Get(ctx, s.ID())
}

func values(ctx context.Context, s session.Session) iter.Seq2[string, any] {
	all, err := session.All(ctx, s)
	if err != nil {
		panic(err)
	}
	return all
}

// record is all values of a session, as one.
func record(ctx context.Context, s session.Session) map[string]any {
	return maps.Collect(values(ctx, s))
}

// sessions breaks every session of a store.
func sessions(onSession func(s *brokenSession)) defect {
	return func(_ *testing.T, b *brokenStore) { b.onSession = onSession }
}

// resurrects writes as if a session could not end.
var resurrects = sessions(func(s *brokenSession) {
	s.setHook = func(ctx context.Context, key string, value any) error {
		return revive(ctx, s.store, s.ID(), s.Session.Set(ctx, key, value))
	}
})

// wholeRecord writes all values that were loaded with the one that is set.
var wholeRecord = sessions(func(s *brokenSession) {
	s.setHook = func(ctx context.Context, key string, value any) error {
		mine := record(ctx, s.Session)
		mine[key] = value
		return errors.Join(session.Clear(ctx, s.Session), session.SetAll(ctx, s.Session, mine))
	}
	s.deleteHook = func(ctx context.Context, keys ...string) error {
		mine := record(ctx, s.Session)
		for _, key := range keys {
			delete(mine, key)
		}
		return errors.Join(session.Clear(ctx, s.Session), session.SetAll(ctx, s.Session, mine))
	}
})

// references hands out and keeps what it was given, uncopied.
var references = sessions(func(s *brokenSession) {
	name := func(key string) string { return s.ID() + " " + key }
	get := func(ctx context.Context, key string) (any, error) {
		if v := s.store.noted(name(key)); v != nil {
			return v, nil
		}
		v, err := s.Session.Get(ctx, key)
		if v != nil {
			s.store.note(name(key), v)
		}
		return v, err
	}
	s.getHook = get
	s.setHook = func(ctx context.Context, key string, value any) error {
		s.store.note(name(key), value)
		return s.Session.Set(ctx, key, value)
	}
	s.allHook = func(ctx context.Context) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			for key := range values(ctx, s.Session) {
				if v, _ := get(ctx, key); !yield(key, v) {
					return
				}
			}
		}
	}
})
