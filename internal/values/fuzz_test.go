package values_test

import (
	"encoding"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/values"
)

// FuzzDecode gives Decode any bytes. The decoded value can be stored again, and then
// reads the same. Append may refuse it only if its type is loose: Append refused the value
// before it wrote such bytes, so a store has them from elsewhere.
func FuzzDecode(f *testing.F) {
	for _, tt := range scalars {
		f.Add(encode(f, tt.value))
	}
	for _, tt := range registeredValues() {
		tt.register()
		if encoded := encode(f, tt.value); len(encoded) < 10_000 {
			f.Add(encoded)
		}
	}
	for _, tt := range hostileBytes() {
		if len(tt.encoded) < 10_000 {
			f.Add(tt.encoded)
		}
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		v, err := values.Decode(encoded)
		if err != nil {
			if !errors.Is(err, values.ErrValue) || v != nil {
				t.Fatalf("got %v, %v, want ErrValue", v, err)
			}
			return
		}
		registered := strings.HasPrefix(encoded, "\x14") || strings.HasPrefix(encoded, "\x15")
		b, err := values.Append(nil, v)
		if err != nil {
			documented := errors.Is(err, values.ErrValue) || errors.Is(err, values.ErrTooLarge)
			if !documented || !loose(reflect.TypeOf(v), make(map[reflect.Type]bool)) {
				t.Fatalf("%T %v cannot be stored again: %v", v, v, err)
			}
			return
		}
		if again := string(b); !registered && again != encoded {
			t.Fatalf("%T %v: got the bytes %x, want %x", v, v, again, encoded)
		}
		if again := encode(t, decode(t, string(b))); again != string(b) {
			t.Fatalf("%T %v: got the bytes %x, want %x", v, v, again, b)
		}
	})
}

// loose reports whether bytes that no Append wrote may decode to a value of type t that
// Append refuses. t contains a time, an interface, or a codec of its own: url.URL reads
// "/\x80" and writes "/%80".
func loose(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.BinaryMarshaler]()) {
		return true // time.Time, too
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Map:
		return loose(t.Key(), seen) || loose(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return loose(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if loose(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// FuzzRoundTrip gives Append values of every kind.
func FuzzRoundTrip(f *testing.F) {
	f.Add("", []byte(nil), int64(0), uint64(0), 0.0, int64(0), int64(0), 0)
	f.Add("\xff\x00", []byte{0}, int64(-1), uint64(1<<63), -0.5, int64(-1), int64(-1), -1)
	f.Add("é", []byte("\x14"), int64(1<<62), uint64(127), 1e300, int64(1)<<40, int64(999_999_999), 3600)
	register[account]()
	register[ints]()
	register[point]()
	register[box[any]]()
	f.Fuzz(func(t *testing.T, s string, b []byte, i int64, u uint64, x float64, sec, nsec int64, offset int) {
		at := time.Unix(sec, nsec)
		offset %= 1 << 20
		for _, want := range []any{
			s, b, i > 0,
			int(i), int8(i), int16(i), int32(i), i, uint(u), uint8(u), uint16(u), uint32(u), u,
			float32(x), x,
			at.UTC(), at.In(time.FixedZone(s, offset)),
			ints{int(i), int(u)},
			box[any]{map[string]any{s: []any{s, i, x == x, nil}}},
			[]any{s, b, int(i), int8(i), u, uint16(u), at.UTC(), []any{map[string]any{s: int32(i)}}, point{int(i), 1}, nil},
			account{
				Name: s, Roles: []string{s, ""}, Limits: map[string]uint64{s: u}, Home: &point{int(i), int(u)},
				Ratio: float32(i), Avatar: b, Matrix: grid{{uint8(u)}}, ID: userID(s),
			},
		} {
			encoded := encode(t, want)
			if got := decode(t, encoded); !same(want, got) {
				t.Fatalf("got %T %#v, want %T %#v", got, got, want, want)
			}
			if again := encode(t, want); again != encoded {
				t.Fatalf("got %x and %x for %#v", encoded, again, want)
			}
		}
	})
}
