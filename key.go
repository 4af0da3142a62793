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
// A Key never changes and is safe for concurrent use.
type Key[T any] struct {
	name string
}

// NewKey returns the key with this name and makes T storable, as [Register] does.
func NewKey[T any](name string) Key[T] {
	Register[T]()
	return Key[T]{name}
}

// Register makes values of type T storable in every session of the program. CBOR (RFC
// 8949) must return a value unchanged, or Set refuses it with [ErrValue]. Set checks
// each value. It refuses unexported or skipped fields that are not zero, functions,
// values nested deeper than 32 levels, and every value of a type that has more than 32
// pointers in a row, such as type T *T.
//
// An interface inside a value may hold anything that a session can store, and it keeps
// the type: map[string]any{"n": 1} comes back with an int. Map keys are the exception,
// because only CBOR encodes them. If a key contains an interface, CBOR must preserve the
// type in it, as it does for string and int64.
//
// These types need no Register: slices of any, bool, string, []byte, [time.Time] or an
// int, uint or float type, and maps of these types with string keys.
//
// A stored value includes the full name of its type. If a deploy renames, moves or no
// longer registers the type, Get fails with [ErrValue] for this value. The rest of the
// session stays readable. A type may change under its name: an added field reads as
// zero, and a removed or renamed field is dropped. A field whose new type does not fit
// gives ErrValue. CBOR does not distinguish some types (a slice and an array, an integer
// and a float). If a field changes between them, give it a new name. A [time.Time]
// inside a value must have a year from 0 to 9999 and an offset of whole minutes.
//
// Call it from a package-level variable or from init. It may be called again, and it is
// safe for concurrent use.
func Register[T any]() {
	values.Register(reflect.TypeFor[T]())
}

// Name returns the name the key was made with.
func (k Key[T]) Name() string { return k.name }

// Get returns the value of k in s; ok is false if there is none. If the stored value has
// another type, Get fails with an error that matches [ErrValue].
func (k Key[T]) Get(ctx context.Context, s Session) (v T, ok bool, err error) {
	stored, err := s.Get(ctx, k.name)
	return k.typed(stored, err)
}

// Set stores v under k in s. Its errors are those of Set of [Session].
func (k Key[T]) Set(ctx context.Context, s Session, v T) error {
	return s.Set(ctx, k.name, v)
}

// Delete removes k from s. Its errors are those of [Delete].
func (k Key[T]) Delete(ctx context.Context, s Session) error {
	return Delete(ctx, s, k.name)
}

// Pop removes k from s and returns its value. Of concurrent callers, exactly one gets
// the value; ok is false for the others. Its errors are those of [Pop]. If the value
// that s was loaded with has another type, Pop fails with an error that matches
// [ErrValue] and removes nothing.
func (k Key[T]) Pop(ctx context.Context, s Session) (v T, ok bool, err error) {
	if v, _, err = k.Get(ctx, s); err != nil {
		return v, false, err
	}
	stored, err := Pop(ctx, s, k.name)
	return k.typed(stored, err)
}

// Update replaces the value of k in s by the result of f, atomically. If k is absent,
// old is the zero value. Update may call f more than once. Its errors are those of
// [Update]. If the stored value has another type, Update fails with an error that
// matches [ErrValue] and changes nothing.
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
