package values_test

import (
	"errors"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/values"
)

type (
	text       string
	userID     string
	unknownID  string
	number     int
	ints       []int
	blob       struct{ B []byte }
	point      struct{ X, Y int }
	lookup     map[string]int
	grid       [2][3]uint8
	list       struct{ Next *list }
	tree       struct{ L, R *tree }
	nest       []nest
	ring       map[string]ring
	loop       *loop
	box[T any] struct{ V T }

	account struct {
		Name    string            `json:"name"`
		Roles   []string          `json:"roles,omitempty"`
		Limits  map[string]uint64 `cbor:"l"`
		Home    *point            `cbor:"h,omitempty"`
		Since   time.Time
		Ratio   float32
		Inner   struct{ A, B bool }
		Avatar  []byte
		Matrix  grid
		ID      userID
		private int
	}
	embedded struct {
		point
		Z int
	}
	array struct {
		_    struct{} `cbor:",toarray"`
		A, B int
	}
	numbered struct {
		A string `cbor:"1,keyasint"`
		B string `cbor:"-2,keyasint"`
	}
	skipped struct {
		Kept, Lost int
		Skip       int `json:"-"`
	}
	omitted struct {
		M map[string]int `json:",omitempty"`
		S []int          `json:",omitempty"`
		F float64        `json:",omitempty"`
	}
	std struct {
		Big    big.Int
		BigP   *big.Int
		Addr   netip.Addr
		Prefix netip.Prefix
		URL    url.URL
		URLP   *url.URL
	}
	callback struct{ F func() }
	lossy    struct {
		S []int
		M map[string]int
		F func()
		V any
	}
	channel struct{ C chan int }
)

// A lossy value has a codec of its own that always gives back the same.
func (lossy) MarshalBinary() ([]byte, error) { return []byte{1}, nil }

func (l *lossy) UnmarshalBinary([]byte) error {
	*l = lossy{S: []int{1}, M: map[string]int{"a": 1}, V: point{1, 1}}
	return nil
}

func register[T any]() { values.Register(reflect.TypeFor[T]()) }

// kept is what a test registers and expects back.
func kept[T any](name string, v T) registered {
	return registered{name, v, func() { register[T]() }}
}

type registered struct {
	name     string
	value    any
	register func()
}

func nested(levels int) nest {
	n := nest{}
	for range levels - 1 {
		n = nest{n}
	}
	return n
}

func linked(nodes int) *list {
	var l *list
	for range nodes {
		l = &list{l}
	}
	return l
}

func parse[T any](f func(string) (T, error), s string) T {
	v, err := f(s)
	if err != nil {
		panic(err)
	}
	return v
}

func registeredValues() []registered {
	huge, _ := new(big.Int).SetString("-"+strings.Repeat("9", 100), 10)
	link := parse(url.Parse, "https://u:p%40ss@example.com:8080/a%2Fb;c?x=1&x=2&y#frag%20ment")
	return append(dynamicValues(), []registered{
		kept("named string", text("\xff\x00é")),
		kept("named int", number(math.MinInt)),
		kept("duration", 90*time.Second),
		kept("struct", point{-1, math.MaxInt}),
		kept("struct zero", account{}),
		kept("struct full", account{
			Name: "é\x00\xff", Roles: []string{"", "admin"}, Limits: map[string]uint64{"": 0, "max": math.MaxUint64},
			Home: &point{3, 4}, Since: noon, Ratio: math.SmallestNonzeroFloat32, Inner: struct{ A, B bool }{B: true},
			Avatar: []byte{0, 255}, Matrix: grid{{1, 2, 3}, {4, 5, 6}}, ID: "42",
		}),
		kept("struct empty not nil", account{Limits: map[string]uint64{}, Avatar: []byte{}}),
		kept("pointer", &account{Name: "x", Since: noon}),
		kept("pointer nil", (*account)(nil)),
		kept("pointer to pointer", parse(func(string) (**point, error) { p := &point{1, 2}; return &p, nil }, "")),
		kept("slice", []point{{1, 2}, {}}),
		kept("slice empty", []point{}),
		kept("slice nil", []point(nil)),
		kept("slice of pointers", []*point{{1, 2}, nil}),
		kept("slice of slices", [][]string{{"a"}, {}, nil}),
		kept("slice of 200000", make(ints, 200_000)),
		kept("map", lookup{"": 1, "\xff": -1}),
		kept("map empty", lookup{}),
		kept("map nil", lookup(nil)),
		kept("map of structs", map[point][]account{{1, 2}: {{Name: "x"}}, {}: nil}),
		kept("map by int", map[int8]string{-128: "min", 127: "max"}),
		kept("map of 1000", parse(func(string) (map[uint16]bool, error) {
			m := make(map[uint16]bool)
			for i := range uint16(1000) {
				m[i] = i%2 == 0
			}
			return m, nil
		}, "")),
		kept("array", grid{{1, 2, 3}}),
		kept("array of bytes", [4]byte{1, 2, 3, 4}),
		kept("embedded", embedded{point{1, 2}, 3}),
		kept("toarray", array{A: 1, B: 2}),
		kept("keyasint", numbered{"a", "b"}),
		kept("skipped and zero", skipped{Kept: 1, Lost: 2}),
		kept("omitted", omitted{}),
		kept("generic", box[*point]{&point{1, 2}}),
		kept("unnamed struct", struct{ A int }{7}),
		kept("interface nil", box[any]{}),
		kept("interface string", box[any]{"s"}),
		kept("interface bool", box[any]{true}),
		kept("interface int64", box[any]{int64(-5)}),
		kept("interface float64", box[any]{0.5}),
		kept("interface bytes", box[any]{[]byte("b")}),
		kept("interface time", box[any]{noon}),
		kept("interface slice", box[any]{[]any{"a", int64(1), nil}}),
		kept("interface map", box[any]{map[string]any{"a": []any{}}}),
		kept("map of any", map[string]any{"s": "x", "i": int64(1), "f": 1.5, "b": true, "n": nil, "m": map[string]any{"t": noon}}),
		kept("std zero", std{}),
		kept("std", std{*big.NewInt(-5), huge, netip.MustParseAddr("fe80::1%eth0"), netip.MustParsePrefix("10.0.0.0/8"), *link, link}),
		kept("address 4 in 6", box[netip.Addr]{netip.MustParseAddr("::ffff:1.2.3.4")}),
		kept("codec of its own", lossy{S: []int{1}, M: map[string]int{"a": 1}, V: point{1, 1}}),
		kept("time zero", box[time.Time]{}),
		kept("time to the nanosecond", box[time.Time]{noon}),
		kept("32 levels", nested(32)),
		kept("32 nodes of a list", linked(32)),
		kept("32 levels of any", nestedAny(32)),
	}...)
}

func TestRegistered(t *testing.T) {
	for _, tt := range registeredValues() {
		t.Run(tt.name, func(t *testing.T) {
			tt.register()
			encoded := encode(t, tt.value)
			if got := decode(t, encoded); !same(tt.value, got) {
				t.Errorf("got %#v, want %#v", got, tt.value)
			}
			for range min(10, 100_000/len(encoded)) {
				if encode(t, tt.value) != encoded {
					t.Fatal("got other bytes for the same value")
				}
			}
		})
	}
}

// TestRegisteredFloatsAndTimes is about what [reflect.DeepEqual] cannot compare.
func TestRegisteredFloatsAndTimes(t *testing.T) {
	type odd struct {
		NaN, Zero, Inf float64
		Now            time.Time
		East           *time.Time
	}
	register[odd]()
	east := noon.In(kath)
	want := odd{quiet, math.Copysign(0, -1), math.Inf(-1), time.Now(), &east}
	got, ok := decode(t, encode(t, want)).(odd)
	if !ok || !same(want.NaN, got.NaN) || !same(want.Zero, got.Zero) || got.Inf != want.Inf {
		t.Errorf("got %v, want %v", got, want)
	}
	if !got.Now.Equal(want.Now) || got.East == nil || !same(*want.East, *got.East) {
		t.Errorf("got %v and %v, want %v and %v", got.Now, got.East, want.Now, want.East)
	}
	// A zone is a table of its own; it does not count as levels.
	deep := map[string]any{"at": east}
	for range 30 {
		deep = map[string]any{"in": deep}
	}
	register[map[string]any]()
	encode(t, deep)
}

func firstTwin() any {
	type twin struct{ A int }
	register[twin]()
	register[[]twin]()
	return []any{twin{1}, []twin{{1}}}
}

func secondTwin() any {
	type twin struct{ A string }
	register[twin]()
	register[[]twin]()
	return []any{twin{"x"}, []twin{{"x"}}}
}

func TestTypesOfOneName(t *testing.T) {
	first, second := firstTwin().([]any), secondTwin().([]any)
	firstTwin() // again
	for i := range first {
		if got := decode(t, encode(t, first[i])); !same(first[i], got) {
			t.Errorf("got %#v, want %#v", got, first[i])
		}
		if b, err := values.Append(nil, second[i]); !errors.Is(err, values.ErrValue) || b != nil {
			t.Errorf("second %T: got %q, %v, want ErrValue", second[i], b, err)
		}
	}
}

func TestRegisterConcurrently(t *testing.T) {
	register[any]() // an interface is no type of a value: nothing happens
	register[error]()
	register[point]()
	encoded := encode(t, point{1, 2})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 100 {
				v := reflect.New(reflect.ArrayOf(i, reflect.TypeFor[int16]())).Elem()
				values.Register(v.Type())
				values.Register(v.Type())
				if got := decode(t, encode(t, v.Interface())); got != v.Interface() {
					t.Errorf("got %v, want %v", got, v)
				}
				if got := decode(t, encoded); got != (point{1, 2}) {
					t.Errorf("got %v", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestRegisteredAreCopies(t *testing.T) {
	register[*account]()
	in := &account{Roles: []string{"a"}, Limits: map[string]uint64{"a": 1}, Home: &point{1, 1}, Avatar: []byte("a")}
	change := func(a *account) {
		a.Roles[0], a.Limits["a"], a.Home.X, a.Avatar[0] = "changed", 2, 2, 'b'
	}
	encoded := encode(t, in)
	change(in)
	first, _ := decode(t, encoded).(*account)
	change(first)
	second, _ := decode(t, encoded).(*account)
	want := &account{Roles: []string{"a"}, Limits: map[string]uint64{"a": 1}, Home: &point{1, 1}, Avatar: []byte("a")}
	if !same(want, second) {
		t.Errorf("got %#v, want %#v", second, want)
	}
}
