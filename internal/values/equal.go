package values

import (
	"math"
	"reflect"
	"time"
)

// maxVisits exceeds the number of values that fit into [MaxValue], even if every second
// one is a pointer.
const maxVisits = 4 * MaxValue

// A walk limits a value before it is encoded. A value that contains itself has no end,
// and one that contains a part repeatedly may expand to more than the memory.
type walk struct {
	left int // how many more values may be visited
}

// bounded returns an error if v, nested at level, is nested deeper than [maxDepth] or
// has too many parts to be stored.
func (w *walk) bounded(v reflect.Value, level int) error {
	for hops := 0; v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface; hops++ {
		if v.IsNil() {
			return nil
		}
		if hops == maxDepth {
			return errDeep
		}
		w.left--
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil // its zone is a large table, and package time may be loading it
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		w.left -= v.Len()
	case reflect.String:
		if w.left -= v.Len(); w.left < 0 {
			return errValue
		}
		return nil
	default:
		return nil
	}
	switch {
	case level == maxDepth:
		return errDeep
	case w.left < 0:
		return errValue
	}
	return w.boundedParts(v, level+1)
}

func (w *walk) boundedParts(v reflect.Value, level int) error {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // Fields allocates, for each of perhaps a million structs
			if err := w.bounded(v.Field(i), level); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := w.bounded(it.Key(), level); err != nil {
				return err
			}
			if err := w.bounded(it.Value(), level); err != nil {
				return err
			}
		}
	default:
		if flat(v.Type().Elem()) {
			return nil
		}
		for i := range v.Len() {
			if err := w.bounded(v.Index(i), level); err != nil {
				return err
			}
		}
	}
	return nil
}

// flat reports whether values of the type contain no other values and no text.
func flat(t reflect.Type) bool {
	return t.Kind() <= reflect.Complex128
}

// equal compares like [reflect.DeepEqual], with two exceptions. Times are equal if they
// have the same instant and the same offset, and a NaN equals itself. Neither value may
// be nested deeper than [maxDepth].
func equal(a, b reflect.Value) bool {
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return equal(a.Elem(), b.Elem())
	case reflect.Struct:
		if a.CanInterface() && a.Type() == reflect.TypeFor[time.Time]() {
			return sameTime(a.Interface(), b.Interface())
		}
		for i := range a.NumField() {
			if !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return a.IsNil() == b.IsNil() && sameElements(a, b)
	case reflect.Array:
		return sameElements(a, b)
	case reflect.Map:
		return a.IsNil() == b.IsNil() && sameEntries(a, b)
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return a.IsNil() && b.IsNil()
	default:
		return a.Equal(b)
	}
}

func sameTime(a, b any) bool {
	t, ok := a.(time.Time)
	u, ok2 := b.(time.Time)
	if !ok || !ok2 || !t.Equal(u) {
		return false
	}
	_, offset := t.Zone()
	_, offset2 := u.Zone()
	return offset == offset2
}

func sameElements(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !equal(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

func sameEntries(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for it := a.MapRange(); it.Next(); {
		v := b.MapIndex(it.Key())
		if !v.IsValid() || !equal(it.Value(), v) {
			return false
		}
	}
	return true
}
