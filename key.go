package session

import (
	"context"
	"fmt"
	"reflect"

	"github.com/mist-contrib/session/internal/values"
)

// A Key is the name of a value together with its type. Make it once, as a
// package-level variable:
//
//	var cart = session.NewKey[Cart]("cart")
//
// A Key is a constant in effect and safe for concurrent use.
type Key[T any] struct {
	name string
}

// NewKey returns the key of that name and makes T storable, as [Register] does.
func NewKey[T any](name string) Key[T] {
	Register[T]()
	return Key[T]{name}
}

// Register makes values of type T storable in every session of the program.
// CBOR (RFC 8949) must give a value back unchanged, or Set refuses it with
// [ErrValue]. It refuses, value by value: an unexported or skipped field that is not
// zero, a function, a value nested deeper than 32 levels.
//
// An interface inside a value may hold whatever a session stores by itself, and it
// keeps the type: map[string]any{"n": 1} comes back with an int. A key of a map is
// the exception, because CBOR alone encodes it: the type of what an interface in a
// key holds must survive CBOR, as string and int64 do.
//
// These types need no Register: slices of any, bool, string, []byte, [time.Time] or
// an int, uint or float type, and maps of the same with string keys.
//
// A stored value names its type in full. After a deploy, a value of a type that
// was renamed, moved or is not registered any more gives [ErrValue] from Get and
// leaves the rest of the session readable. A type may change under its name: a
// field that was added reads as zero, one that was taken away or renamed is
// dropped, one whose type does not fit gives ErrValue. CBOR knows no difference
// between some types (a slice and an array, an integer and a float): give a
// field that changes so a new name. A [time.Time] inside a value takes the years
// 0 to 9999 and whole minutes of offset.
//
// It is usually called from a package-level variable or init, may be called
// again, and is safe for concurrent use.
func Register[T any]() {
	values.Register(reflect.TypeFor[T]())
}

// Name returns the name the key was made with.
func (k Key[T]) Name() string { return k.name }

// Get returns the value of k in s; ok is false where there is none. A value of
// another type is an error that matches [ErrValue], never a silent zero.
func (k Key[T]) Get(ctx context.Context, s Session) (v T, ok bool, err error) {
	stored, err := s.Get(ctx, k.name)
	return k.typed(stored, err)
}

// Set stores v under k in s. Errors as for Set of [Session].
func (k Key[T]) Set(ctx context.Context, s Session, v T) error {
	return s.Set(ctx, k.name, v)
}

// Delete takes k out of s. Errors as for [Delete].
func (k Key[T]) Delete(ctx context.Context, s Session) error {
	return Delete(ctx, s, k.name)
}

// Pop takes k out of s and returns its value, to exactly one of many callers;
// ok is false for the others. Errors as for [Pop]; a value of another type is
// an error that matches [ErrValue] and stays where it was loaded with s.
func (k Key[T]) Pop(ctx context.Context, s Session) (v T, ok bool, err error) {
	if v, _, err = k.Get(ctx, s); err != nil {
		return v, false, err
	}
	stored, err := Pop(ctx, s, k.name)
	return k.typed(stored, err)
}

// Update replaces the value of k in s by f of it, in one step; old is the zero
// value where k is absent, and f may run more than once. Errors as for
// [Update]; where a value of another type is stored, one that matches
// [ErrValue], and nothing changes.
func (k Key[T]) Update(ctx context.Context, s Session, f func(old T) (T, error)) error {
	return Update(ctx, s, k.name, func(stored any) (any, error) {
		old, _, err := k.typed(stored, nil)
		if err != nil {
			return nil, err
		}
		return f(old)
	})
}

func (k Key[T]) typed(stored any, err error) (v T, ok bool, _ error) {
	if err != nil || stored == nil {
		return v, false, err
	}
	v, ok = stored.(T)
	if !ok {
		return v, false, fmt.Errorf("%w: stored as %T, read as %v", ErrValue, stored, reflect.TypeFor[T]())
	}
	return v, true, nil
}
