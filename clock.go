package session

import (
	"context"
	"time"
)

// A Clock is a [Session] that can tell the time of its store.
type Clock interface {
	// Now returns what time it is by the clock that the times of Info are read
	// from. It may ask the store. It tells nothing about the session, which may
	// have ended.
	Now(ctx context.Context) (time.Time, error)
}

// Now returns the time of the store of s. The age of something in [Info] is the
// difference to it: the clock of this machine may be another. Where the store is
// behind a network that is a round trip. [errors.ErrUnsupported]: s is no [Clock].
// Other errors are the store's.
func Now(ctx context.Context, s Session) (time.Time, error) {
	if c, ok := unwrap[Clock](s); ok {
		return c.Now(ctx)
	}
	return time.Time{}, unsupported("Now")
}
