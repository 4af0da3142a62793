package sessiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

func timeouts(idle, absolute time.Duration) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.Store = &memory.Store{IdleTimeout: idle, AbsoluteTimeout: absolute}
	}
}

func rotatesAlways(_ *testing.T, b *brokenStore) {
	b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
		s, err := b.Store.Rotate(ctx, token, grace)
		if err == nil && b.note(session.Token(s), true) != nil {
			return b.Store.Rotate(ctx, session.Token(s), grace)
		}
		return s, err
	}
}

// rotatesWith rotates with another grace; seen: as if the new token had arrived.
func rotatesWith(grace func(time.Duration) time.Duration, seen bool) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.rotate = func(ctx context.Context, token string, g time.Duration) (session.Session, error) {
			s, err := b.Store.Rotate(ctx, token, grace(g))
			if err == nil && seen {
				_, err = b.Store.Open(ctx, session.Token(s))
			}
			return s, err
		}
	}
}

// brokenRotation is what goes wrong with tokens and with time.
func brokenRotation() map[string]map[string]defect {
	return map[string]map[string]defect{
		"Rotate gives a new token to the same session": {
			"loses the values": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
					s, err := b.Store.Rotate(ctx, token, grace)
					if err != nil {
						return nil, err
					}
					return s, session.Clear(ctx, s)
				}
			},
			"makes a new session": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, _ string, _ time.Duration) (session.Session, error) {
					return b.Store.Generate(ctx, uuid.NewString())
				}
			},
			"keeps the token": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, _ time.Duration) (session.Session, error) {
					return b.Store.Open(ctx, token)
				}
			},
		},
		"the old token is valid until the new one is used, then for the grace": {
			"without grace":         rotatesWith(func(time.Duration) time.Duration { return 0 }, false),
			"with grace a ms short": rotatesWith(func(g time.Duration) time.Duration { return g - time.Millisecond }, false),
			"with grace a ms long":  rotatesWith(func(g time.Duration) time.Duration { return g + time.Millisecond }, false),
			"begins at once":        rotatesWith(func(g time.Duration) time.Duration { return g }, true),
		},
		"without grace the old token ends when the new one is used": {
			"grants some": rotatesWith(func(time.Duration) time.Duration { return time.Second }, false),
		},
		"Rotate with an old token returns the newest":          {"rotates again": rotatesAlways},
		"concurrent calls of Rotate return the same new token": {"rotates for each": rotatesAlways},
		"a rotation whose answer was lost logs nobody out":     {"believes it arrived": rotatesWith(func(g time.Duration) time.Duration { return g }, true)},
		"a negative grace is refused":                          {"takes it for none": rotatesWith(func(g time.Duration) time.Duration { return max(g, 0) }, false)},
		"writers survive rotation": {
			"copies the record": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
					s, err := b.Store.Rotate(ctx, token, grace)
					if err != nil {
						return nil, err
					}
					copied := record(ctx, s)
					time.Sleep(time.Millisecond)
					return s, errors.Join(session.Clear(ctx, s), session.SetAll(ctx, s, copied))
				}
			},
		},
		"a session ends at its idle deadline and not before": {
			"a millisecond late":  timeouts(testIdle+time.Millisecond, testAbsolute),
			"a nanosecond late":   timeouts(testIdle+1, testAbsolute),
			"a millisecond early": timeouts(testIdle-time.Millisecond, testAbsolute),
		},
		"Refresh restarts the idle timeout": {
			"does nothing": func(_ *testing.T, b *brokenStore) {
				b.refresh = func(context.Context, string) error { return nil }
			},
			"adds nothing at the second time": func(_ *testing.T, b *brokenStore) {
				b.refresh = func(ctx context.Context, id string) error {
					if b.note(id, true) != nil {
						return nil
					}
					return b.Store.Refresh(ctx, id)
				}
			},
		},
		"a session ends at its absolute deadline whatever happens": {
			"a nanosecond late":   timeouts(testIdle, testAbsolute+1),
			"a millisecond early": timeouts(testIdle, testAbsolute-time.Millisecond),
			"never":               timeouts(testIdle, 100*24*time.Hour),
		},
		"rotation moves no deadline": {
			"refreshes": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
					s, err := b.Store.Rotate(ctx, token, grace)
					if err != nil {
						return nil, err
					}
					return s, b.Store.Refresh(ctx, s.ID())
				}
			},
		},
	}
}
