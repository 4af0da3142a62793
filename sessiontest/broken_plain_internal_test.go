package sessiontest

import (
	"context"

	"github.com/mist-contrib/session"
)

func (p plain) Generate(ctx context.Context, id string) (session.Session, error) {
	return strip(p.inner.Generate(ctx, id))
}

func (p plain) Get(ctx context.Context, id string) (session.Session, error) {
	return strip(p.inner.Get(ctx, id))
}

func (p plain) Refresh(ctx context.Context, id string) error { return p.inner.Refresh(ctx, id) }

func (p plain) Remove(ctx context.Context, id string) error { return p.inner.Remove(ctx, id) }
