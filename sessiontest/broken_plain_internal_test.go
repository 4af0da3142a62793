package sessiontest

import (
	"context"

	"github.com/mist-contrib/session"
)

// plain hides everything but the four methods and the core of the sessions.
type plain struct{ inner session.Store }

type plainSession struct{ session.Session }

func strip(s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	return plainSession{s}, nil
}

func (p plain) Generate(ctx context.Context, id string) (session.Session, error) {
	return strip(p.inner.Generate(ctx, id))
}

func (p plain) Get(ctx context.Context, id string) (session.Session, error) {
	return strip(p.inner.Get(ctx, id))
}

func (p plain) Refresh(ctx context.Context, id string) error { return p.inner.Refresh(ctx, id) }

func (p plain) Remove(ctx context.Context, id string) error { return p.inner.Remove(ctx, id) }
