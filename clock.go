package session

import (
	"context"
	"time"
)

// A Clock is a [Session] that can tell the time of its store.
type Clock interface {
	// Now returns the time of the clock that sets the times of Info. It may ask the store.
	// It succeeds even if the session has ended.
	Now(ctx context.Context) (time.Time, error)
}

// Now returns the time of the store of s. Use it to compute an age from a time in [Info],
// because this machine's clock may differ. If the store is behind a network, Now costs a
// round trip. [errors.ErrUnsupported]: s is no [Clock]. Other errors are the store's.
func Now(ctx context.Context, s Session) (time.Time, error) {
	if c, ok := unwrap[Clock](s); ok {
		return c.Now(ctx)
	}
	return time.Time{}, unsupported("Now")
}
