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

// A beast is a memory store that is broken in one way: the hooks that are set
// take the place of its methods. It is for the rules to find out.
type beast struct {
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

	// tame breaks a session; it is called for each that is handed out.
	tame func(s *cub)

	mu    sync.Mutex
	notes map[string]any // what the hooks remember
}

// note remembers v under key and returns what was there.
func (b *beast) note(key string, v any) (before any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before = b.notes[key]
	if b.notes == nil {
		b.notes = make(map[string]any)
	}
	b.notes[key] = v
	return before
}

func (b *beast) noted(key string) any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notes[key]
}

func (b *beast) hand(s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	if b.tame == nil {
		return s, nil
	}
	if c, ok := s.(*cub); ok {
		return c, nil
	}
	c := &cub{Session: s, store: b}
	b.tame(c)
	return c, nil
}

func (b *beast) Generate(ctx context.Context, id string) (session.Session, error) {
	if b.generate != nil {
		return b.hand(b.generate(ctx, id))
	}
	return b.hand(b.Store.Generate(ctx, id))
}

func (b *beast) Get(ctx context.Context, id string) (session.Session, error) {
	if b.get != nil {
		return b.hand(b.get(ctx, id))
	}
	return b.hand(b.Store.Get(ctx, id))
}

func (b *beast) Open(ctx context.Context, token string) (session.Session, error) {
	if b.open != nil {
		return b.hand(b.open(ctx, token))
	}
	return b.hand(b.Store.Open(ctx, token))
}

func (b *beast) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	if b.rotate != nil {
		return b.hand(b.rotate(ctx, token, grace))
	}
	return b.hand(b.Store.Rotate(ctx, token, grace))
}

func (b *beast) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	if b.login != nil {
		return b.hand(b.login(ctx, token, l))
	}
	return b.hand(b.Store.Login(ctx, token, l))
}

func (b *beast) Bind(ctx context.Context, token string, p session.Proof) (session.Session, error) {
	if b.bind != nil {
		return b.hand(b.bind(ctx, token, p))
	}
	return b.hand(b.Store.Bind(ctx, token, p))
}

func (b *beast) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	if b.prove != nil {
		return b.hand(b.prove(ctx, id, p))
	}
	return b.hand(b.Store.Prove(ctx, id, p))
}

func (b *beast) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	if b.list != nil {
		return b.list(ctx, user)
	}
	return b.Store.UserSessions(ctx, user)
}

func (b *beast) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	if b.revoke != nil {
		return b.revoke(ctx, user, except...)
	}
	return b.Store.RemoveUserSessions(ctx, user, except...)
}

func (b *beast) Refresh(ctx context.Context, id string) error {
	if b.refresh != nil {
		return b.refresh(ctx, id)
	}
	return b.Store.Refresh(ctx, id)
}

func (b *beast) Remove(ctx context.Context, id string) error {
	if b.remove != nil {
		return b.remove(ctx, id)
	}
	return b.Store.Remove(ctx, id)
}

// A cub is a session of a beast.
type cub struct {
	session.Session
	store *beast

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

func (c *cub) Unwrap() session.Session { return c.Session }

func (c *cub) Get(ctx context.Context, key string) (any, error) {
	if c.getHook != nil {
		return c.getHook(ctx, key)
	}
	return c.Session.Get(ctx, key)
}

func (c *cub) Set(ctx context.Context, key string, value any) error {
	if c.setHook != nil {
		return c.setHook(ctx, key, value)
	}
	return c.Session.Set(ctx, key, value)
}

func (c *cub) SetAll(ctx context.Context, values map[string]any) error {
	if c.setAllHook != nil {
		return c.setAllHook(ctx, values)
	}
	return session.SetAll(ctx, c.Session, values)
}

func (c *cub) Delete(ctx context.Context, keys ...string) error {
	if c.deleteHook != nil {
		return c.deleteHook(ctx, keys...)
	}
	return session.Delete(ctx, c.Session, keys...)
}

func (c *cub) Clear(ctx context.Context) error {
	if c.clearHook != nil {
		return c.clearHook(ctx)
	}
	return session.Clear(ctx, c.Session)
}

func (c *cub) Pop(ctx context.Context, key string) (any, error) {
	if c.popHook != nil {
		return c.popHook(ctx, key)
	}
	return session.Pop(ctx, c.Session, key)
}

func (c *cub) Update(ctx context.Context, key string, f func(any) (any, error)) error {
	if c.updateHook != nil {
		return c.updateHook(ctx, key, f)
	}
	return session.Update(ctx, c.Session, key, f)
}

func (c *cub) All(ctx context.Context) iter.Seq2[string, any] {
	if c.allHook != nil {
		return c.allHook(ctx)
	}
	return values(ctx, c.Session)
}

func (c *cub) Info() session.Info {
	if c.infoHook != nil {
		return c.infoHook()
	}
	info, _ := session.Describe(c.Session)
	return info
}

func (c *cub) Now(ctx context.Context) (time.Time, error) {
	if c.nowHook != nil {
		return c.nowHook(ctx)
	}
	return session.Now(ctx, c.Session)
}

func (c *cub) Token() string {
	if c.tokenHook != nil {
		return c.tokenHook()
	}
	return session.Token(c.Session)
}

// stored loads the session anew, without its hooks.
func (c *cub) stored(ctx context.Context) (session.Session, error) {
	return c.store.Store.Get(ctx, c.ID())
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
func sessions(tame func(s *cub)) breed {
	return func(_ *testing.T, b *beast) { b.tame = tame }
}

// resurrects writes as if a session could not end.
var resurrects = sessions(func(s *cub) {
	s.setHook = func(ctx context.Context, key string, value any) error {
		return revive(ctx, s.store, s.ID(), s.Session.Set(ctx, key, value))
	}
})

// wholeRecord writes all values that were loaded with the one that is set.
var wholeRecord = sessions(func(s *cub) {
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
var references = sessions(func(s *cub) {
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
