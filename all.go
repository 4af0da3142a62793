package session

import (
	"context"
	"iter"
)

// A Ranger is a [Session] that can list its values.
type Ranger interface {
	// All yields the keys and values that Get would return, in no order. It leaves out
	// values that cannot be read; Get returns their error. The sequence ends early when
	// ctx ends.
	All(ctx context.Context) iter.Seq2[string, any]
}

// All lists the keys and values of s, see [Ranger]. [errors.ErrUnsupported]: s is no
// Ranger.
func All(ctx context.Context, s Session) (iter.Seq2[string, any], error) {
	if r, ok := unwrap[Ranger](s); ok {
		return r.All(ctx), nil
	}
	return nil, unsupported("All")
}
