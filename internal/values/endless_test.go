package values_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/values"
)

type (
	there *back
	back  **there

	wrap[T any] *T
	self        wrap[self]

	cells [1]*cells
	knots []*knots
	ropes map[string]*ropes

	Egg struct {
		*Egg
		N int
	}
	Hen struct {
		*Chick
		N int
	}
	Chick struct {
		*Hen
		M int
	}
)

func pointersTo(t reflect.Type, n int) reflect.Type {
	for range n {
		t = reflect.PointerTo(t)
	}
	return t
}

// TestEndlessTypes is about types that contain themselves through pointers alone. The CBOR
// library would follow them for ever.
func TestEndlessTypes(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[loop](),
		reflect.TypeFor[*loop](),
		reflect.TypeFor[there](),
		reflect.TypeFor[back](),
		reflect.TypeFor[self](),
		reflect.TypeFor[[]loop](),
		reflect.TypeFor[[1]loop](),
		reflect.TypeFor[map[string]loop](),
		reflect.TypeFor[map[loop]string](),
		reflect.TypeFor[box[loop]](),
		reflect.TypeFor[box[[]map[string]*box[there]]](),
		reflect.TypeFor[struct{ unexported loop }](),
		reflect.TypeFor[struct {
			Skip loop `cbor:"-"`
		}](),
		pointersTo(reflect.TypeFor[int](), 33),
	} {
		t.Run(typ.String(), func(t *testing.T) {
			values.Register(typ)
			if b, err := values.Append(nil, reflect.Zero(typ).Interface()); !errors.Is(err, values.ErrValue) || b != nil {
				t.Errorf("got %q, %v, want ErrValue", b, err)
			}
			if typ.PkgPath() == "" {
				return
			}
			for _, cbor := range []string{"\x01", "\x80", "\x81\xf6", "\xa0", "\xa1\x61V\x01"} {
				if v, err := values.Decode(stored(typ.PkgPath()+"."+typ.Name(), cbor)); !errors.Is(err, values.ErrValue) || v != nil {
					t.Errorf("%x: got %v, %v, want ErrValue", cbor, v, err)
				}
			}
		})
	}
}

// TestRecursiveTypes is about types that contain themselves through something that ends.
func TestRecursiveTypes(t *testing.T) {
	for _, tt := range []registered{
		kept("slice", nest{{}, {{}}}),
		kept("map", ring{"a": {"b": nil}}),
		kept("array of pointers", cells{{{nil}}}),
		kept("slice of pointers", knots{{{nil}}, nil}),
		kept("map of pointers", ropes{"a": {"b": nil}}),
		kept("struct that embeds its pointer", Egg{N: 1}),
		kept("structs that embed each other", Hen{&Chick{nil, 1}, 2}),
		{"32 pointers", reflect.Zero(pointersTo(reflect.TypeFor[int](), 32)).Interface(), func() {
			values.Register(pointersTo(reflect.TypeFor[int](), 32))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.register()
			if got := decode(t, encode(t, tt.value)); !same(tt.value, got) {
				t.Errorf("got %#v, want %#v", got, tt.value)
			}
		})
	}
	for name, encoded := range map[string]string{
		"array":         as[cells](strings.Repeat("\x81", 33) + "\xf6"),
		"slice":         as[knots](strings.Repeat("\x81", 33) + "\xf6"),
		"map":           as[ropes](strings.Repeat("\xa1\x61a", 33) + "\xf6"),
		"embedded":      as[Egg](strings.Repeat("\xa1\x63Egg", 33) + "\xf6"),
		"embedded pair": as[Hen]("\xa1\x61N" + strings.Repeat("\x81", 33) + "\xf6"),
	} {
		if v, err := values.Decode(encoded); !errors.Is(err, values.ErrValue) || v != nil {
			t.Errorf("33 levels of %s: got %#v, %v, want ErrValue", name, v, err)
		}
	}
}
