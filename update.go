package session

import "context"

// An Updater is a [Session] that can replace a value by one that depends on it.
type Updater interface {
	// Update replaces the value that is stored under key now by f of it, in one
	// step: no increment is lost however many run at once. old is nil where the
	// key is absent. f runs again when another write of the key came between; it
	// must not have effects of its own, least of all on this key. An error of f is returned as it is and
	// changes nothing. Other errors as for Set.
	Update(ctx context.Context, key string, f func(old any) (any, error)) error
}

// Update replaces the value of key in s by f of it, atomically: a counter, a
// cart. f may run more than once. Errors as for [Updater];
// [errors.ErrUnsupported]: s is none.
func Update(ctx context.Context, s Session, key string, f func(old any) (any, error)) error {
	if u, ok := unwrap[Updater](s); ok {
		return u.Update(ctx, key, f)
	}
	return unsupported("Update")
}
