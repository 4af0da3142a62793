package session

import "context"

// A BatchSetter is a [Session] that can store several values at once.
type BatchSetter interface {
	// SetAll stores all values or none, in one round trip. Errors as for Set; after any
	// error nothing has changed.
	SetAll(ctx context.Context, values map[string]any) error
}

// SetAll stores all values in s or none, in one round trip. Errors as for [Session].Set.
// [errors.ErrUnsupported]: s is no [BatchSetter].
func SetAll(ctx context.Context, s Session, values map[string]any) error {
	if b, ok := unwrap[BatchSetter](s); ok {
		return b.SetAll(ctx, values)
	}
	return unsupported("SetAll")
}
