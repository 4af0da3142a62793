package values

import (
	"math"
	"reflect"
	"time"
)

// depth returns how deep a value is nested, and stops counting just above
// [maxDepth]: a value that contains itself has no end.
func depth(v reflect.Value, level int) int {
	if level > maxDepth {
		return level
	}
	deepest := level
	visit := func(child reflect.Value) bool {
		deepest = max(deepest, depth(child, level+1))
		return deepest <= maxDepth
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			visit(v.Elem())
		}
	case reflect.Struct:
		for i := 0; i < v.NumField() && visit(v.Field(i)); i++ {
		}
	case reflect.Slice, reflect.Array:
		if flat(v.Type().Elem()) {
			break
		}
		for i := 0; i < v.Len() && visit(v.Index(i)); i++ {
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next() && visit(it.Key()) && visit(it.Value()); {
		}
	}
	return deepest
}

// flat reports whether values of the type hold no others.
func flat(t reflect.Type) bool {
	return t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String
}

// equal compares as [reflect.DeepEqual] does, but for two things: times are
// equal that show the same instant at the same offset, and a NaN equals itself.
// Both values are known to be no deeper than [maxDepth].
func equal(a, b reflect.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	if a.Kind() == reflect.Invalid {
		return true
	}
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
