package session

import (
	"context"
	"errors"
)

// A Deleter is a [Session] whose values can be taken out.
type Deleter interface {
	// Delete takes out the values of keys, all in one step. Absent keys are no
	// error. [ErrNotFound]: the session has ended.
	Delete(ctx context.Context, keys ...string) error

	// Clear takes out all values; the session lives on. [ErrNotFound]: it has
	// ended.
	Clear(ctx context.Context) error
}

// Delete takes the values of keys out of s, all in one step. Absent keys are no
// error. [ErrNotFound]: the session has ended. [errors.ErrUnsupported]: s is no
// [Deleter].
func Delete(ctx context.Context, s Session, keys ...string) error {
	if d, ok := unwrap[Deleter](s); ok {
		return d.Delete(ctx, keys...)
	}
	return unsupported("Delete")
}

// Clear takes all values out of s; the session lives on. Errors as for
// [Delete].
func Clear(ctx context.Context, s Session) error {
	if d, ok := unwrap[Deleter](s); ok {
		return d.Clear(ctx)
	}
	return unsupported("Clear")
}

// unsupported is a type, so that the message names the capability without an
// allocation that everyone pays.
type unsupported string

func (e unsupported) Error() string { return "session: " + string(e) + " is not supported" }

func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }
