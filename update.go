package session

import "context"

// An Updater is a [Session] that can compute a new value from the old one in one step.
type Updater interface {
	// Update replaces the current value of key with f(old) in one step, so concurrent
	// increments are never lost. old is nil if the key is absent. f runs again if another
	// write of the key came between. It must have no side effects, least of all on this
	// key. Update returns an error of f unchanged, and then changes nothing. Other errors
	// as for Set.
	Update(ctx context.Context, key string, f func(old any) (any, error)) error
}

// Update replaces the value of key in s with f(old), atomically: a counter, a cart. f may
// run more than once. Errors as for [Updater]. [errors.ErrUnsupported]: s is no Updater.
func Update(ctx context.Context, s Session, key string, f func(old any) (any, error)) error {
	if u, ok := unwrap[Updater](s); ok {
		return u.Update(ctx, key, f)
	}
	return unsupported("Update")
}
