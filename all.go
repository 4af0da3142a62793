package session

import (
	"context"
	"iter"
)

// A Ranger is a [Session] whose values can be listed.
type Ranger interface {
	// All yields the keys and values that Get would return, in no order. A
	// value that cannot be read is left out (Get tells why), and the sequence
	// ends early when ctx does.
	All(ctx context.Context) iter.Seq2[string, any]
}

// All lists the keys and values of s as [Ranger] describes.
// [errors.ErrUnsupported]: s is none.
func All(ctx context.Context, s Session) (iter.Seq2[string, any], error) {
	if r, ok := unwrap[Ranger](s); ok {
		return r.All(ctx), nil
	}
	return nil, unsupported("All")
}
