package values_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/values"
)

// FuzzDecode gives Decode any bytes. What it makes of them can be stored again
// and then reads the same. Only a value of a registered type may be refused
// then, one with an interface or a time in it, where the bytes had what no Set
// would have written.
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
	loose := []string{
		".box[", ".account", "interface {}", ".one[", ".mixed", ".any", ".chain", ".outer", ".tagged", ".boxed",
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
			refusable := slices.ContainsFunc(loose, func(name string) bool { return strings.Contains(encoded, name) })
			if !registered || !documented || !refusable {
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
