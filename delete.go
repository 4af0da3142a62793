package session

import (
	"context"
	"errors"
)

// A Deleter is a [Session] that can delete values.
type Deleter interface {
	// Delete removes the values of keys in one step. Absent keys are no error.
	// [ErrNotFound]: the session has ended.
	Delete(ctx context.Context, keys ...string) error

	// Clear removes all values; the session lives on. [ErrNotFound]: the session has
	// ended.
	Clear(ctx context.Context) error
}

// Delete removes the values of keys from s in one step. Absent keys are no error.
// [ErrNotFound]: the session has ended. [errors.ErrUnsupported]: s is no [Deleter].
func Delete(ctx context.Context, s Session, keys ...string) error {
	if d, ok := unwrap[Deleter](s); ok {
		return d.Delete(ctx, keys...)
	}
	return unsupported("Delete")
}

// Clear removes all values from s; the session lives on. Errors as for [Delete].
func Clear(ctx context.Context, s Session) error {
	if d, ok := unwrap[Deleter](s); ok {
		return d.Clear(ctx)
	}
	return unsupported("Clear")
}

// unsupported is a string type, so that the message can name the capability without an
// allocation.
type unsupported string

func (e unsupported) Error() string { return "session: " + string(e) + " is not supported" }

func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }
