package session

import "context"

// A Popper is a [Session] that can give a value away once.
type Popper interface {
	// Pop takes out the value that is stored under key now and returns it:
	// exactly one of many concurrent callers gets it, the others get nil, nil,
	// as for an absent key. A call that failed may have taken the value out.
	// [ErrNotFound]: the session has ended. [ErrValue]: what is stored cannot be
	// read, and stays.
	Pop(ctx context.Context, key string) (any, error)
}

// Pop takes the value of key out of s and returns it, to exactly one of many
// concurrent callers: a flash message, a one-time code. An absent key gives
// nil, nil. Errors as for [Popper]; [errors.ErrUnsupported]: s is none.
func Pop(ctx context.Context, s Session, key string) (any, error) {
	if p, ok := unwrap[Popper](s); ok {
		return p.Pop(ctx, key)
	}
	return nil, unsupported("Pop")
}
