package values_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests of zones need one on every machine

	"github.com/mist-contrib/session/internal/values"
)

var (
	noon   = time.Date(2026, 8, 2, 12, 0, 0, 123456789, time.UTC)
	kath   = time.FixedZone("+0545", 5*3600+45*60)
	aeons  = time.FixedZone("aeons", 1<<20)
	quiet  = math.Float64frombits(0x7ff8000000000001)
	signal = math.Float32frombits(0x7f800001)
)

// scalars are values that need no registration, with the bytes that stores have
// of them. The bytes never change: sessions outlive a deploy.
var scalars = []struct {
	name  string
	value any
	hex   string
}{
	{"false", false, "01"},
	{"true", true, "02"},
	{"string empty", "", "03"},
	{"string", "grüß", "036772c3bcc39f"},
	{"string NUL", "a\x00b", "03610062"},
	{"string invalid UTF-8", "\xff\xfe\xc3", "03fffec3"},
	{"bytes", []byte{0, 1, 255}, "040001ff"},
	{"bytes empty", []byte{}, "04"},
	{"bytes nil", []byte(nil), "05"},
	{"int 0", 0, "0600"},
	{"int", -2, "0603"},
	{"int min of 32 bits", math.MinInt32, "06ffffffff0f"},
	{"int max of 32 bits", math.MaxInt32, "06feffffff0f"},
	{"int8 min", int8(math.MinInt8), "07ff01"},
	{"int8 max", int8(math.MaxInt8), "07fe01"},
	{"int16 min", int16(math.MinInt16), "08ffff03"},
	{"int16 max", int16(math.MaxInt16), "08feff03"},
	{"int32 min", int32(math.MinInt32), "09ffffffff0f"},
	{"int32 max", int32(math.MaxInt32), "09feffffff0f"},
	{"int64 0", int64(0), "0a00"},
	{"int64 min", int64(math.MinInt64), "0affffffffffffffffff01"},
	{"int64 max", int64(math.MaxInt64), "0afeffffffffffffffff01"},
	{"uint 0", uint(0), "0b00"},
	{"uint max of 32 bits", uint(math.MaxUint32), "0bffffffff0f"},
	{"uint8 max", uint8(math.MaxUint8), "0cff01"},
	{"uint16 max", uint16(math.MaxUint16), "0dffff03"},
	{"uint32 max", uint32(math.MaxUint32), "0effffffff0f"},
	{"uint64 0", uint64(0), "0f00"},
	{"uint64 max", uint64(math.MaxUint64), "0fffffffffffffffffff01"},
	{"float32", float32(1.5), "100000c03f"},
	{"float32 smallest", float32(math.SmallestNonzeroFloat32), "1001000000"},
	{"float32 largest", float32(math.MaxFloat32), "10ffff7f7f"},
	{"float32 -0", float32(math.Copysign(0, -1)), "1000000080"},
	{"float32 +Inf", float32(math.Inf(1)), "100000807f"},
	{"float32 signalling NaN", signal, "100100807f"},
	{"float64", 0.1, "119a9999999999b93f"},
	{"float64 smallest", math.SmallestNonzeroFloat64, "110100000000000000"},
	{"float64 largest", math.MaxFloat64, "11ffffffffffffef7f"},
	{"float64 -0", math.Copysign(0, -1), "110000000000000080"},
	{"float64 -Inf", math.Inf(-1), "11000000000000f0ff"},
	{"float64 NaN", quiet, "11010000000000f87f"},
	{"time zero", time.Time{}, "12ffdb8ff9ce03" + "00"},
	{"time UTC", noon, "1280c5f9a60d" + "959aef3a"},
	{"time epoch", time.Unix(0, 0).UTC(), "120000"},
	{"time fixed zone", noon.In(kath), "1380c5f9a60d" + "959aef3a" + "b8c302"},
	{"time zone west by a second", noon.In(time.FixedZone("", -1)), "1380c5f9a60d" + "959aef3a" + "01"},
	{"time zone of no offset", noon.In(time.FixedZone("GMT", 0)), "1380c5f9a60d" + "959aef3a" + "00"},
	{"time largest offset", noon.In(aeons), "1380c5f9a60d" + "959aef3a" + "80808001"},
	{"time far past", time.Unix(math.MinInt64, 0).UTC(), "12ffffffffffffffffff0100"},
	{"time far future", time.Unix(math.MaxInt64, 999_999_999).UTC(), "12feffffffffffffffff01ff93ebdc03"},
	{"time year 10000", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "128086a2ffdf0e00"},
}

// same says what "the same type and an equal value" means, without asking the
// code under test.
func same(a, b any) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	switch a := a.(type) {
	case float32:
		return math.Float32bits(a) == math.Float32bits(b.(float32))
	case float64:
		return math.Float64bits(a) == math.Float64bits(b.(float64))
	case time.Time:
		return sameTime(a, b.(time.Time))
	}
	return reflect.DeepEqual(a, b)
}

func sameTime(a, b time.Time) bool {
	_, ao := a.Zone()
	_, bo := b.Zone()
	return a.Equal(b) && ao == bo && (a.Location() == time.UTC) == (b.Location() == time.UTC) && !strings.Contains(b.String(), " m=")
}

// encode returns the bytes of a value that must be kept.
func encode(tb testing.TB, v any) string {
	tb.Helper()
	b, err := values.Append(nil, v)
	if err != nil {
		tb.Fatalf("Append %T: %v", v, err)
	}
	return string(b)
}

func decode(tb testing.TB, encoded string) any {
	tb.Helper()
	v, err := values.Decode(encoded)
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	return v
}

func TestScalars(t *testing.T) {
	for _, tt := range scalars {
		t.Run(tt.name, func(t *testing.T) {
			encoded := encode(t, tt.value)
			if got := hex.EncodeToString([]byte(encoded)); got != tt.hex {
				t.Errorf("got the bytes %s, want %s as ever", got, tt.hex)
			}
			if got := decode(t, encoded); !same(tt.value, got) {
				t.Errorf("got %T %v, want %T %v", got, got, tt.value, tt.value)
			}
		})
	}
}

// TestWordSize is about the extremes that depend on the machine.
func TestWordSize(t *testing.T) {
	for _, want := range []any{math.MinInt, math.MaxInt, uint(math.MaxUint)} {
		if got := decode(t, encode(t, want)); !same(want, got) {
			t.Errorf("got %T %v, want %T %v", got, got, want, want)
		}
	}
	for _, encoded := range []string{"\x06\xfe\xff\xff\xff\x1f", "\x0b\xff\xff\xff\xff\x1f"} { // 33 bits
		if v, err := values.Decode(encoded); (err == nil) != (strconv.IntSize == 64) {
			t.Errorf("got %v, %v on a machine of %d bits", v, err, strconv.IntSize)
		}
	}
}

// TestTime takes times from one machine to another, and through a change of
// daylight saving time.
func TestTime(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	local := time.Local
	t.Cleanup(func() { time.Local = local })
	twice := time.Date(2024, 11, 3, 5, 30, 0, 0, time.UTC) // 1:30 in New York, and again an hour later
	for _, from := range []*time.Location{time.UTC, newYork, kath, time.FixedZone("GMT", 0)} {
		for _, to := range []*time.Location{time.UTC, newYork, kath, time.FixedZone("GMT", 0)} {
			time.Local = from
			for _, at := range []time.Time{
				time.Now(), time.Now().UTC(), noon, noon.Local(), noon.In(newYork), noon.In(kath),
				twice.Local(), twice.Add(time.Hour).Local(), twice.In(newYork), twice.Add(time.Hour).In(newYork),
				time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64, 0),
				{},
				time.Time{}.Local(),
			} {
				time.Local = from
				encoded := encode(t, at)
				time.Local = to
				got, ok := decode(t, encoded).(time.Time)
				_, offset := got.Zone()
				if _, want := at.Zone(); !ok || !got.Equal(at) || offset != want || strings.Contains(got.String(), " m=") {
					t.Errorf("%v to %v: got %v, want %v", from, to, got, at)
				}
				if at.Location() == newYork && to == newYork && got.Location() != time.Local {
					t.Errorf("got zone %v, want the local one", got.Location())
				}
			}
		}
	}
}

func TestTimeOffsetTooLarge(t *testing.T) {
	for _, offset := range []int{1<<20 + 1, -1<<20 - 1, math.MaxInt32, math.MinInt32} {
		if b, err := values.Append(nil, noon.In(time.FixedZone("", offset))); !errors.Is(err, values.ErrValue) || b != nil {
			t.Errorf("%d seconds: got %x, %v, want ErrValue", offset, b, err)
		}
	}
}

func TestSizeLimits(t *testing.T) {
	register[text]()
	register[blob]()
	prefix := []byte("what was there before")
	for _, tt := range []struct {
		name string
		make func(n int) any
		over int // bytes of an encoded value that are not the content
	}{
		{"string", func(n int) any { return strings.Repeat("x", n) }, 1},
		{"bytes", func(n int) any { return make([]byte, n) }, 1},
		{"registered string", func(n int) any { return text(strings.Repeat("x", n)) }, len(encode(t, text(strings.Repeat("x", 1<<16)))) - 1<<16},
		{"registered struct", func(n int) any { return blob{B: make([]byte, n)} }, len(encode(t, blob{B: make([]byte, 1<<16)})) - 1<<16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			largest := tt.make(values.MaxValue - tt.over)
			b, err := values.Append(bytes.Clone(prefix), largest)
			if err != nil {
				t.Fatalf("largest: %v", err)
			}
			if !bytes.HasPrefix(b, prefix) || len(b)-len(prefix) != values.MaxValue {
				t.Fatalf("got %d bytes behind the prefix, want %d", len(b)-len(prefix), values.MaxValue)
			}
			if got := decode(t, string(b[len(prefix):])); !same(largest, got) {
				t.Error("got another value back")
			}
			for _, n := range []int{1, 2, 5 * values.MaxValue} {
				if b, err := values.Append(nil, tt.make(values.MaxValue-tt.over+n)); !errors.Is(err, values.ErrTooLarge) || b != nil {
					t.Errorf("%d bytes more: got %d bytes, %v, want ErrTooLarge", n, len(b), err)
				}
			}
		})
	}
	if _, err := values.Decode("\x03" + strings.Repeat("x", values.MaxValue)); !errors.Is(err, values.ErrValue) {
		t.Errorf("decode of a byte too many: got %v, want ErrValue", err)
	}
}

func TestCheckKey(t *testing.T) {
	for n, want := range map[int]error{0: nil, 1: nil, 255: nil, 256: nil, 257: values.ErrTooLarge, 1 << 20: values.ErrTooLarge} {
		if err := values.CheckKey(strings.Repeat("\x00", n)); !errors.Is(err, want) {
			t.Errorf("%d bytes: got %v, want %v", n, err, want)
		}
	}
}

func TestCheckCount(t *testing.T) {
	for n, want := range map[int]error{0: nil, 1023: nil, 1024: nil, 1025: values.ErrTooLarge} {
		if err := values.CheckCount(n); !errors.Is(err, want) {
			t.Errorf("%d: got %v, want %v", n, err, want)
		}
	}
}

// TestAppendKeepsPrefix is what a block of several values rests on.
func TestAppendKeepsPrefix(t *testing.T) {
	register[point]()
	prefix := []byte("prefix")
	for _, room := range []int{0, 1, 1000} {
		for _, tt := range append(scalars, struct {
			name  string
			value any
			hex   string
		}{name: "registered", value: point{1, 2}}) {
			dst := append(make([]byte, 0, len(prefix)+room), prefix...)
			got, err := values.Append(dst, tt.value)
			if want := "prefix" + encode(t, tt.value); err != nil || string(got) != want {
				t.Errorf("%s, room for %d: got %q, %v, want %q", tt.name, room, got, err, want)
			}
		}
	}
}

func TestBytesAreCopies(t *testing.T) {
	in := []byte("abc")
	encoded := encode(t, in)
	in[0] = 'X'
	first, _ := decode(t, encoded).([]byte)
	second, _ := decode(t, encoded).([]byte)
	first[1] = 'Y'
	if got, want := string(second), "abc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := encoded, "\x04abc"; got != want {
		t.Errorf("encoded bytes: got %q, want %q", got, want)
	}
	buf := []byte("\x03string") // a store's buffer, used again
	v := decode(t, string(buf))
	copy(buf, "\x03STRING")
	if v != "string" {
		t.Errorf("got %v, want string", v)
	}
}

func TestScalarsAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	for _, tt := range scalars {
		if n := testing.AllocsPerRun(100, func() { _, _ = values.Append(buf, tt.value) }); n != 0 {
			t.Errorf("Append %s: got %v allocations, want 0", tt.name, n)
		}
		encoded := encode(t, tt.value)
		most := 2.0 // the interface and a copy
		if strings.HasPrefix(tt.hex, "13") {
			most = 4 // and a zone
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = values.Decode(encoded) }); n > most {
			t.Errorf("Decode %s: got %v allocations, want at most %v", tt.name, n, most)
		}
	}
}
