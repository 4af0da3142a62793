package values_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/values"
)

// stored is a value of a registered type as a store has it, or could have.
func stored(name, cbor string) string {
	return string(binary.AppendUvarint([]byte{0x14}, uint64(len(name)))) + name + cbor
}

// named is the name of a type of this package, as it is stored.
func named[T any]() string {
	t := reflect.TypeFor[T]()
	return t.PkgPath() + "." + t.Name()
}

// as is stored under the name of T.
func as[T any](cbor string) string {
	register[T]()
	return stored(named[T](), cbor)
}

// dynamic is a value of type T with a dynamic part, as a store could have it.
func dynamic[T any](part, cbor string) string {
	register[T]()
	return "\x15" + stored(named[T](), sized(part)+cbor)[1:]
}

// sized is s after its length.
func sized(s string) string { return string(binary.AppendUvarint(nil, uint64(len(s)))) + s }

// towers is n values, each in an interface of the next.
func towers(n int) string {
	v := "\x02"
	for range n {
		v = dynamic[box[any]]("\x00\x01V"+sized(v), "\xa0")
	}
	return v
}

// copies is a slice of n interfaces that hold the same.
func copies(n int, v string) string {
	part := []byte{0}
	for i := range n {
		index := binary.AppendUvarint(nil, uint64(i))
		part = append(append(part, byte(len(index))), index...)
		part = append(binary.AppendUvarint(part, uint64(len(v))), v...)
	}
	head := binary.BigEndian.AppendUint32([]byte{0x9a}, uint32(n))
	return dynamic[anys](string(part), string(head)+strings.Repeat("\xf6", n))
}

func hostileBytes() []struct{ name, encoded string } {
	const huge = "\xff\xff\xff\xff\xff\xff\xff\xff"
	return []struct{ name, encoded string }{
		{"nothing", ""},
		{"kind 0", "\x00"},
		{"kind after the last", "\x16"},
		{"kind after the last, with a payload", "\x16abc"},
		{"kind 255", "\xff\x00"},
		{"int overlong", "\x06\x80\x00"},
		{"int overlong 1", "\x06\x82\x00"},
		{"int overlong in ten bytes", "\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"},
		{"int of 65 bits", "\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"},
		{"int of eleven bytes", "\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"},
		{"int that does not end", "\x06" + strings.Repeat("\xff", 100)},
		{"int8 128", "\x07\x80\x02"},
		{"int8 -129", "\x07\x81\x02"},
		{"int16 32768", "\x08\x80\x80\x04"},
		{"int16 -32769", "\x08\x81\x80\x04"},
		{"int32 2147483648", "\x09\x80\x80\x80\x80\x10"},
		{"int32 -2147483649", "\x09\x81\x80\x80\x80\x10"},
		{"uint overlong", "\x0b\x80\x00"},
		{"uint of 65 bits", "\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"},
		{"uint8 256", "\x0c\x80\x02"},
		{"uint16 65536", "\x0d\x80\x80\x04"},
		{"uint32 4294967296", "\x0e\x80\x80\x80\x80\x10"},
		{"float32 of 5 bytes", "\x10\x00\x00\x00\x00\x00"},
		{"float64 of 4 bytes", "\x11\x00\x00\x00\x00"},
		{"time without nanoseconds", "\x12\x00"},
		{"time of 1e9 nanoseconds", "\x12\x00\x80\x94\xeb\xdc\x03"},
		{"time of 2^64-1 nanoseconds", "\x12\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"time overlong seconds", "\x12\x80\x00\x00"},
		{"time overlong nanoseconds", "\x12\x00\x80\x00"},
		{"time UTC with an offset", "\x12\x00\x00\x00"},
		{"time zone without an offset", "\x13\x00\x00"},
		{"time zone a second too far east", "\x13\x00\x00\x82\x80\x80\x01"},
		{"time zone a second too far west", "\x13\x00\x00\x81\x80\x80\x01"},
		{"time zone of 2^63 seconds", "\x13\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"time zone overlong", "\x13\x00\x00\x80\x00"},
		{"name without length", "\x14"},
		{"name of no bytes", "\x14\x00\xf6"},
		{"name longer than all", "\x14\x7fabc"},
		{"name of 2^64-1 bytes", "\x14" + huge + "\xff\x01abc"},
		{"name of 2^63 bytes", "\x14\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01abc"},
		{"name of 65 bits", "\x14" + huge + "\xff\x02abc"},
		{"name overlong", "\x14\x83\x00abc\xf6"},
		{"name nobody registered", stored("no/such.type", "\xf6")},
		{"name in other case", stored(strings.ToUpper(named[point]()), "\xf6")},
		{"name and NUL", stored(named[point]()+"\x00", "\xf6")},
		{"no CBOR", as[point]("")},
		{"CBOR twice", as[point]("\xa0\xa0")},
		{"break alone", as[point]("\xff")},
		{"reserved length", as[point]("\x1c")},
		{"number for a struct", as[point]("\x01")},
		{"text for a struct", as[point]("\x61X")},
		{"array for a struct", as[point]("\x82\x01\x02")},
		{"indefinite map", as[point]("\xbf\x61X\x01\xff")},
		{"same field twice", as[point]("\xa2\x61X\x01\x61X\x02")},
		{"text for an int", as[point]("\xa1\x61X\x611")},
		{"fraction for an int", as[point]("\xa1\x61X\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00")},
		{"NaN for an int", as[point]("\xa1\x61X\xf9\x7e\x00")},
		{"2^64-1 for an int", as[point]("\xa1\x61X\x1b" + huge)},
		{"-2^64 for an int", as[point]("\xa1\x61X\x3b" + huge)},
		{"bignum for an int", as[point]("\xa1\x61X\xc2\x49\x01" + huge)},
		{"same key twice in a map", as[lookup]("\xa2\x61a\x01\x61a\x02")},
		{"number for a time", as[box[time.Time]]("\xa1\x61V\x05")},
		{"text for a time", as[box[time.Time]]("\xa1\x61V\x74" + "2026-08-02T12:00:00Z")},
		{"no time for a time", as[box[time.Time]]("\xa1\x61V\xc0\x61x")},
		{"month 13", as[box[time.Time]]("\xa1\x61V\xc0\x74" + "2026-13-02T12:00:00Z")},
		{"array of 2^64-1", as[ints]("\x9b" + huge)},
		{"array of 2^63-1", as[ints]("\x9b\x7f" + huge[1:])},
		{"array of 2^32-1", as[ints]("\x9a" + huge[:4] + "\x01\x02")},
		{"array of a million, empty", as[ints]("\x9a\x00\x0f\xff\xff")},
		{"array of a million, of large elements", as[crowd]("\x9a\x00\x0f\xff\xff\xa0")},
		{"map of 2^64-1", as[lookup]("\xbb" + huge)},
		{"map of a million", as[lookup]("\xba\x00\x0f\xff\xff\x61a\x01")},
		{"bytes of 2^64-1", as[blob]("\xa1\x61B\x5b" + huge)},
		{"bytes of 2^32-1", as[blob]("\xa1\x61B\x5a" + huge[:4])},
		{"text of 2^64-1", as[text]("\x7b" + huge)},
		{"array in array a million times", as[box[any]]("\xa1\x61V" + strings.Repeat("\x81", 1<<20-100))},
		{"large array in large array", as[box[any]]("\xa1\x61V" + strings.Repeat("\x9a\x00\x0f\xff\xff", 30))},
		{"map in map", as[box[any]]("\xa1\x61V" + strings.Repeat("\xa1\x61a", 40) + "\xf6")},
		{"tag in tag a million times", as[box[any]]("\xa1\x61V" + strings.Repeat("\xc6", 1<<20-100))},
		{"array in array for a slice of slices", as[nest](strings.Repeat("\x81", 32) + "\x80")},
		{"list of 33 nodes", as[list](strings.Repeat("\xa1\x64Next", 33) + "\xf6")},
		{"dynamic without a name", "\x15"},
		{"dynamic without a part", dynamic[box[any]]("", "\xa0")[:len(named[box[any]]())+2]},
		{"part longer than all", "\x15" + as[box[any]]("\x7f\x00\xa0")[1:]},
		{"part of no bytes inside", dynamic[box[any]]("\x00\x01V\x00", "\xa0")},
		{"part of an unknown kind", dynamic[box[any]]("\x00\x01V\x01\x7f", "\xa0")},
		{"part of a list for an interface", dynamic[box[any]]("\x00\x01V\x05\x00\x01V\x01\x01", "\xa0")},
		{"part of a list for a number", dynamic[one[int]]("\x00\x01V\x05\x00\x01V\x01\x01", "\xa0")},
		{"part of a list for a nil pointer", dynamic[one[*box[any]]]("\x00\x01V\x05\x00\x01V\x01\x01", "\xa0")},
		{"part for a struct that nobody can set", dynamic[tagged]("\x00\x01x"+sized(as[box[any]]("\xa0")), "\xa0")},
		{"part of the wrong type", dynamic[one[fmt.Stringer]]("\x00\x01V\x02\x06\x02", "\xa0")},
		{"part for all of it, wrong type", dynamic[point]("\x06\x02", "\xa0")},
		{"name longer than its part", dynamic[box[any]]("\x00\x7fV", "\xa0")},
		{"name without a part", dynamic[box[any]]("\x00\x01V", "\xa0")},
		{"entry longer than its part", dynamic[box[any]]("\x00\x01V\x7f\x01", "\xa0")},
		{"item beyond the last", dynamic[one[[]any]]("\x00\x01V\x05\x00\x01\x01\x01\x01", "\xa1\x61V\x81\xf6")},
		{"item 2^64-1", dynamic[one[[]any]]("\x00\x01V\x0e\x00\x0a"+huge+"\xff\x01\x01\x01", "\xa1\x61V\x81\xf6")},
		{"item without a number", dynamic[one[[]any]]("\x00\x01V\x04\x00\x00\x01\x01", "\xa1\x61V\x81\xf6")},
		{"item number and more", dynamic[one[[]any]]("\x00\x01V\x06\x00\x02\x00\x00\x01\x01", "\xa1\x61V\x81\xf6")},
		{"key that is not there", dynamic[one[map[string]any]]("\x00\x01V\x05\x00\x01a\x01\x01", "\xa1\x61V\xa1\x61b\xf6")},
		{"key of a nil map", dynamic[one[map[string]any]]("\x00\x01V\x05\x00\x01a\x01\x01", "\xa0")},
		{"key that is no number", dynamic[one[map[int]any]]("\x00\x01V\x06\x00\x02\x61a\x01\x01", "\xa1\x61V\xa1\x01\xf6")},
		{"key that has no hash", dynamic[one[map[any]any]]("\x00\x01V\x05\x00\x01\x80\x01\x01", "\xa1\x61V\xa1\x01\xf6")},
		{"key that has no hash inside", dynamic[one[map[box[any]]any]]("\x00\x01V\x08\x00\x04\xa1\x61V\x80\x01\x01", "\xa1\x61V\xa1\xa0\xf6")},
		{"name nobody registered inside", dynamic[box[any]]("\x00\x01V\x04"+stored("x", "\xf6"), "\xa0")},
		{"no CBOR inside", dynamic[box[any]]("\x00\x01V\x10"+stored("[]interface {}", ""), "\xa0")},
		{"33 values inside each other", towers(33)},
		{"a thousand values inside each other", towers(1000)},
		{"over a megabyte", as[text]("\x7a\x00\x10\x00\x00" + strings.Repeat("x", 1<<20))},
	}
}

func TestDecodeHostile(t *testing.T) {
	for _, tt := range hostileBytes() {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, err := values.Decode(tt.encoded)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, values.ErrValue) || v != nil {
				t.Errorf("got %v, %v, want ErrValue", v, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
				t.Errorf("got %d KiB allocated for %d bytes", used>>10, len(tt.encoded))
			}
		})
	}
}

// TestDecodeCutOrLonger cuts every value anywhere, and adds to it.
func TestDecodeCutOrLonger(t *testing.T) {
	refuse := func(what, encoded string) {
		t.Helper()
		if v, err := values.Decode(encoded); !errors.Is(err, values.ErrValue) || v != nil {
			t.Errorf("%s: %.200q: got %v, %v, want ErrValue", what, encoded, v, err)
		}
	}
	for _, tt := range scalars {
		switch tt.value.(type) {
		case string, []byte:
			if tt.name != "bytes nil" {
				continue // any bytes will do
			}
		}
		encoded := encode(t, tt.value)
		for i := range len(encoded) {
			refuse(tt.name+" cut", encoded[:i])
		}
		refuse(tt.name+" and a byte", encoded+"\x00")
	}
	for _, tt := range registeredValues() {
		tt.register()
		encoded := encode(t, tt.value)
		for i := 0; i < len(encoded); i += 1 + len(encoded)/200 {
			refuse(tt.name+" cut", encoded[:i])
		}
		refuse(tt.name+" and a byte", encoded+"\x00")
	}
}

// TestDecodeLargest bounds what the largest value of the smallest parts costs.
func TestDecodeLargest(t *testing.T) {
	const n = 1<<20 - 200
	head := string(binary.BigEndian.AppendUint32([]byte("\xa1\x61V\x9a"), n))
	encoded := as[box[any]](head + strings.Repeat("\xf6", n))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := decode(t, encoded)
	runtime.ReadMemStats(&after)
	if all, ok := v.(box[any]).V.([]any); !ok || len(all) != n {
		t.Errorf("got %d elements, want %d", len(all), n)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Errorf("got %d MiB allocated", used>>20)
	}
}

// TestDecodeLargeTypes bounds what short names of large types cost.
func TestDecodeLargeTypes(t *testing.T) {
	decode(t, copies(16, as[vast]("\x80")))
	encoded := copies(5000, as[vast]("\x80"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := values.Decode(encoded)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, values.ErrValue) || v != nil {
		t.Errorf("got %T, %v, want ErrValue", v, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Errorf("got %d MiB allocated for %d bytes", used>>20, len(encoded))
	}
}

type (
	before struct {
		Name, Gone string
		Old        string `json:"old"`
		LOUD       int
	}
	after struct {
		Name, Added string
		Old         string `json:"new"`
		Loud        int
		List        []int
		Inner       *point
		At          time.Time
	}
	crowd  [1 << 10]account
	vast   [1 << 17]int64
	tagged struct {
		box[any] `cbor:"x"`
	}
	anys       []any
	one[T any] struct{ V T }
	two[T any] struct{ V T }
)

// change stores old and reads it as a value of New, as a program does whose
// type was changed under its name. want nil: it does not fit.
func change[Old, New any](name string, old Old, want any) changed {
	return changed{name, func(t *testing.T) string {
		t.Helper()
		register[Old]()
		encoded, head := encode(t, old), stored(named[Old](), "")
		rest, ok := strings.CutPrefix(encoded[1:], head[1:])
		if !ok {
			t.Fatalf("the bytes do not go on with %q", head[1:])
		}
		return encoded[:1] + as[New](rest)[1:]
	}, want}
}

type changed struct {
	name   string
	stored func(t *testing.T) string
	want   any
}

// TestDecodeChangedType is what Register of the root package promises for the
// time after a deploy.
func TestDecodeChangedType(t *testing.T) {
	for _, tt := range []changed{
		change[before, after]("fields added, taken away, renamed", before{"name", "gone", "old", 1}, after{Name: "name"}),
		change[after, before]("and back", after{Name: "name", Added: "x", Old: "y", Loud: 1, List: []int{1}, At: noon}, before{Name: "name"}),
		change[one[before], two[after]]("inside", one[before]{before{Name: "name", Gone: "gone"}}, two[after]{after{Name: "name"}}),
		change[one[int8], two[int]]("wider int", one[int8]{-128}, two[int]{-128}),
		change[one[int], two[int8]]("narrower int, fits", one[int]{127}, two[int8]{127}),
		change[one[int], two[int8]]("narrower int", one[int]{128}, nil),
		change[one[int], two[uint]]("negative for an unsigned", one[int]{-1}, nil),
		change[one[uint64], two[int64]]("too large for a signed", one[uint64]{math.MaxUint64}, nil),
		change[one[int], two[*int]]("to a pointer", one[int]{0}, two[*int]{new(int)}),
		change[one[*int], two[int]]("from a pointer", one[*int]{new(int)}, two[int]{0}),
		change[one[int], two[string]]("int to string", one[int]{0}, nil),
		change[one[string], two[int]]("string to int", one[string]{"1"}, nil),
		change[one[string], two[[]byte]]("string to bytes", one[string]{"x"}, nil),
		change[one[[]byte], two[string]]("bytes to string", one[[]byte]{[]byte("x")}, nil),
		change[one[bool], two[int]]("bool to int", one[bool]{true}, nil),
		change[one[float64], two[int]]("float to int", one[float64]{1}, nil),
		change[one[int64], two[time.Time]]("int to time", one[int64]{1}, nil),
		change[one[string], two[time.Time]]("string to time", one[string]{"2026-08-02T12:00:00Z"}, nil),
		change[one[time.Time], two[int]]("time to int", one[time.Time]{noon}, nil),
		change[one[point], two[string]]("struct to string", one[point]{}, nil),
		change[one[point], two[[]int]]("struct to slice", one[point]{}, nil),
		change[one[[]int], two[point]]("slice to struct", one[[]int]{[]int{1, 2}}, nil),
		change[one[[]int], two[map[int]int]]("slice to map", one[[]int]{[]int{1, 2}}, nil),
		change[one[[]int], two[[]string]]("elements of another type", one[[]int]{[]int{1}}, nil),
		change[before, text]("all of it", before{}, nil),
		change[ints, lookup]("slice to map, all of it", ints{1}, nil),
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := values.Decode(tt.stored(t))
			switch {
			case tt.want == nil && (!errors.Is(err, values.ErrValue) || got != nil):
				t.Errorf("got %#v, %v, want ErrValue", got, err)
			case tt.want != nil && (err != nil || !same(tt.want, got)):
				t.Errorf("got %#v, %v, want %#v", got, err, tt.want)
			}
		})
	}
}
