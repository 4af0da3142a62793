package sessiontest

import (
	"context"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// A cheat is a store of sealed sessions that is broken in one way: the hooks that are set
// take the place of its methods.
type cheat struct {
	*sealed.Store
	ended sealed.Revocations

	open   func(ctx context.Context, token string) (session.Session, error)
	rotate func(ctx context.Context, token string, grace time.Duration) (session.Session, error)
	remove func(ctx context.Context, id string) error
	login  func(ctx context.Context, token string, l session.Login) (session.Session, error)
	set    func(ctx context.Context, s session.Session, key string, value any) error
	get    func(ctx context.Context, s session.Session, key string) (any, error)
}

// newCheat returns one that is not broken.
func newCheat() *cheat {
	c := &cheat{Store: &sealed.Store{Keys: [][]byte{sealed.NewKey()}, IdleTimeout: zooIdle, AbsoluteTimeout: zooAbsolute}}
	c.Revoked = c.ended.Revoked
	c.Revoke = c.ended.Revoke
	return c
}

func (c *cheat) Open(ctx context.Context, token string) (session.Session, error) {
	if c.open != nil {
		return c.hand(c.open(ctx, token))
	}
	return c.hand(c.Store.Open(ctx, token))
}

func (c *cheat) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	if c.rotate != nil {
		return c.hand(c.rotate(ctx, token, grace))
	}
	return c.hand(c.Store.Rotate(ctx, token, grace))
}

func (c *cheat) Remove(ctx context.Context, id string) error {
	if c.remove != nil {
		return c.remove(ctx, id)
	}
	return c.Store.Remove(ctx, id)
}

func (c *cheat) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	if c.login != nil {
		return c.hand(c.login(ctx, token, l))
	}
	return c.hand(c.Store.Login(ctx, token, l))
}

func (c *cheat) hand(s session.Session, err error) (session.Session, error) {
	if err != nil || c.set == nil && c.get == nil {
		return s, err
	}
	return &cheatSession{s, c}, nil
}

type cheatSession struct {
	session.Session
	store *cheat
}

func (s *cheatSession) Unwrap() session.Session { return s.Session }

func (s *cheatSession) Set(ctx context.Context, key string, value any) error {
	if s.store.set == nil {
		return s.Session.Set(ctx, key, value)
	}
	return s.store.set(ctx, s.Session, key, value)
}

func (s *cheatSession) Get(ctx context.Context, key string) (any, error) {
	if s.store.get == nil {
		return s.Session.Get(ctx, key)
	}
	return s.store.get(ctx, s.Session, key)
}
