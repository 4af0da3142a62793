package session

import "context"

// A Popper is a [Session] that can hand out a value exactly once.
type Popper interface {
	// Pop removes the current value of key and returns it. Exactly one of many concurrent
	// callers gets it; the others get nil, nil, as for an absent key. A failed call may
	// have removed the value. [ErrNotFound]: the session has ended. [ErrValue]: the stored
	// value cannot be read, and stays.
	Pop(ctx context.Context, key string) (any, error)
}

// Pop removes the value of key from s and returns it to exactly one of many concurrent
// callers: a flash message, a one-time code. An absent key gives nil, nil. Errors as for
// [Popper]. [errors.ErrUnsupported]: s is no Popper.
func Pop(ctx context.Context, s Session, key string) (any, error) {
	if p, ok := unwrap[Popper](s); ok {
		return p.Pop(ctx, key)
	}
	return nil, unsupported("Pop")
}
