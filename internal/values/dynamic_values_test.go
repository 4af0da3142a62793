package values_test

import (
	"encoding"
	"fmt"
	"time"
)

type (
	boxed *box[any]
	chain struct {
		V    any
		Next *chain
	}
	failure struct{ Text string }
	hidden  struct {
		Skip    any `json:"-"`
		private any
	}
	Two   struct{ U any }
	Three struct{ X, V any }
	mixed struct {
		box[any]
		Two
		*Three
		Named Two `cbor:"two"`
		A     any `json:"a"`
		B     any `cbor:"bb" json:"b"`
		C     any `json:"c,omitempty"`
		D     any `cbor:",omitempty"`
		E     any
		F     any
		Y     fmt.Stringer `json:",omitempty"`
		Z     int
	}
	anyArray struct {
		_    struct{} `cbor:",toarray"`
		A, B any
	}
	anyNumbered struct {
		A any `cbor:"1,keyasint"`
		B any `cbor:"-2,keyasint"`
	}
	outer struct {
		In box[any] `json:",omitzero"`
	}
)

func (f *failure) Error() string { return f.Text }

func nestedAny(levels int) map[string]any {
	m := map[string]any{}
	for range levels - 1 {
		m = map[string]any{"in": m}
	}
	return m
}

func pointers(n int) any {
	var v any = 1
	for range n {
		next := v
		v = &next
	}
	return v
}

// wide is a slice of n slices of as many maps as m.
func wide(n, m int) []any {
	inner := make([]any, m)
	for i := range inner {
		inner[i] = map[string]any{}
	}
	all := make([]any, n)
	for i := range all {
		all[i] = inner
	}
	return all
}

// dynamicValues are values whose interfaces hold values that CBOR alone would change.
func dynamicValues() []registered {
	register[point]()
	register[*point]()
	register[*any]()
	register[*failure]()
	register[lossy]()
	register[time.Duration]()
	register[text]()
	aPoint, aText := &point{1, 2}, any("x")
	return []registered{
		kept("interface int", box[any]{1}),
		kept("interface int8", box[any]{int8(1)}),
		kept("interface uint64", box[any]{uint64(1)}),
		kept("interface float32", box[any]{float32(1)}),
		kept("interface nil bytes", box[any]{[]byte(nil)}),
		kept("interface struct", box[any]{point{1, 2}}),
		kept("interface named", box[any]{text("x")}),
		kept("interface pointer", box[any]{aPoint}),
		kept("interface nil pointer", box[any]{(*point)(nil)}),
		kept("interface pointer to an interface", box[any]{&aText}),
		kept("interface nil slice", box[any]{[]string(nil)}),
		kept("interface nil map", box[any]{map[string]any(nil)}),
		kept("interface zero time", box[any]{time.Time{}}),
		kept("interface with methods", box[fmt.Stringer]{time.Minute}),
		kept("interface with methods, time", box[fmt.Stringer]{noon}),
		kept("interface with methods, pointer", box[error]{&failure{"x"}}),
		kept("interface with methods, nil", box[error]{}),
		kept("interface with a codec", box[encoding.BinaryMarshaler]{lossy{S: []int{1}, M: map[string]int{"a": 1}, V: point{1, 1}}}),
		kept("interface in an interface", box[any]{box[any]{box[fmt.Stringer]{time.Second}}}),
		kept("int inside a map of any", map[string]any{"m": map[string]any{"n": []any{1}}}),
		kept("slice of any", []any{nil, 1, "a", true, []byte{1}, 1.5, noon, []any{}, []any(nil), map[string]any{"": nil}}),
		kept("array of any", [3]any{1, nil, uint8(1)}),
		kept("array of arrays of any", [2][]any{{1}, nil}),
		kept("map of any by int", map[int8]any{-1: 1, 1: "x"}),
		kept("map of any by array", map[[2]int]any{{1, 2}: 1}),
		kept("map of any by struct", map[point][]any{{1, 2}: {1}, {}: nil}),
		kept("map of structs of any", map[text]box[any]{"": {1}, "\xff": {nil}}),
		kept("map of pointers to any", map[string]*any{"": &aText, "nil": nil}),
		kept("pointer to any", box[*any]{&aText}),
		kept("pointer to a struct of any", &box[any]{1}),
		kept("pointer to a pointer to any", box[**any]{parse(func(string) (**any, error) { p := &aText; return &p, nil }, "")}),
		kept("named pointer", box[boxed]{boxed(&box[any]{1})}),
		kept("list of any", &chain{1, &chain{"x", nil}}),
		kept("one pointer twice", []any{aPoint, aPoint}),
		kept("interface as a key", map[any]any{"a": 1, int64(1): "x", true: nil}),
		kept("fields of any", mixed{
			box: box[any]{1}, Two: Two{uint8(1)}, Named: Two{int8(1)}, A: int32(1), B: "b", C: int16(1), D: 1, E: nil, F: []any{1}, Z: 1,
		}),
		kept("fields of any, embedded pointer nil", mixed{Z: 2}),
		kept("fields of any, embedded pointer", mixed{Three: &Three{X: 1}, Y: time.Second}),
		kept("toarray of any", anyArray{A: 1, B: uint(2)}),
		kept("keyasint of any", anyNumbered{1, uint(2)}),
		kept("left out but for an interface", box[outer]{outer{In: box[any]{1}}}),
		kept("array of any in a large array", [1 << 10]any{1023: 1}),
	}
}
