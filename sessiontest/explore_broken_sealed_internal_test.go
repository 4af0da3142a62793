package sessiontest

import (
	"context"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// A brokenSealed is a store of sealed sessions with one defect: the hooks that are set take the
// place of its methods.
type brokenSealed struct {
	*sealed.Store
	ended sealed.Revocations

	open   func(ctx context.Context, token string) (session.Session, error)
	rotate func(ctx context.Context, token string, grace time.Duration) (session.Session, error)
	remove func(ctx context.Context, id string) error
	login  func(ctx context.Context, token string, l session.Login) (session.Session, error)
	set    func(ctx context.Context, s session.Session, key string, value any) error
	get    func(ctx context.Context, s session.Session, key string) (any, error)
}

// newBrokenSealed returns a brokenSealed without a defect.
func newBrokenSealed() *brokenSealed {
	c := &brokenSealed{Store: &sealed.Store{Keys: [][]byte{sealed.NewKey()}, IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}}
	c.Revoked = c.ended.Revoked
	c.Revoke = c.ended.Revoke
	return c
}

func (c *brokenSealed) Open(ctx context.Context, token string) (session.Session, error) {
	if c.open != nil {
		return c.wrap(c.open(ctx, token))
	}
	return c.wrap(c.Store.Open(ctx, token))
}

func (c *brokenSealed) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	if c.rotate != nil {
		return c.wrap(c.rotate(ctx, token, grace))
	}
	return c.wrap(c.Store.Rotate(ctx, token, grace))
}

func (c *brokenSealed) Remove(ctx context.Context, id string) error {
	if c.remove != nil {
		return c.remove(ctx, id)
	}
	return c.Store.Remove(ctx, id)
}

func (c *brokenSealed) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	if c.login != nil {
		return c.wrap(c.login(ctx, token, l))
	}
	return c.wrap(c.Store.Login(ctx, token, l))
}

func (c *brokenSealed) wrap(s session.Session, err error) (session.Session, error) {
	if err != nil || c.set == nil && c.get == nil {
		return s, err
	}
	return &brokenSealedSession{s, c}, nil
}

type brokenSealedSession struct {
	session.Session
	store *brokenSealed
}

func (s *brokenSealedSession) Unwrap() session.Session { return s.Session }

func (s *brokenSealedSession) Set(ctx context.Context, key string, value any) error {
	if s.store.set == nil {
		return s.Session.Set(ctx, key, value)
	}
	return s.store.set(ctx, s.Session, key, value)
}

func (s *brokenSealedSession) Get(ctx context.Context, key string) (any, error) {
	if s.store.get == nil {
		return s.Session.Get(ctx, key)
	}
	return s.store.get(ctx, s.Session, key)
}
