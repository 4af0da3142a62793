package values_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/values"
)

// TestEarlierBytes reads the bytes that stores have of earlier versions. Where no
// interface holds a value, the bytes are still the same.
func TestEarlierBytes(t *testing.T) {
	const (
		mapOfAny  = "14176d61705b737472696e675d696e74657266616365207b7d"
		sameBytes = true
	)
	boxOfAny := hex.EncodeToString([]byte(stored(named[box[any]](), "")))
	register[box[any]]()
	register[point]()
	register[account]()
	register[time.Duration]()
	for _, tt := range []struct {
		name  string
		hex   string
		value any
		same  bool
	}{
		{"string", boxOfAny + "a161566173", box[any]{"s"}, false},
		{"bool", boxOfAny + "a16156f5", box[any]{true}, false},
		{"int64", boxOfAny + "a1615624", box[any]{int64(-5)}, false},
		{"float64", boxOfAny + "a16156fb3fe0000000000000", box[any]{0.5}, false},
		{"bytes", boxOfAny + "a161564162", box[any]{[]byte("b")}, false},
		{"time", boxOfAny + "a16156c0781e323032362d30382d30325431323a30303a30302e3132333435363738395a", box[any]{noon}, false},
		{"slice", boxOfAny + "a1615683616101f6", box[any]{[]any{"a", int64(1), nil}}, false},
		{"map", boxOfAny + "a16156a1616180", box[any]{map[string]any{"a": []any{}}}, false},
		{
			"map of any", mapOfAny + "a66162f56166fb3ff8000000000000616901616da16174c0781e323032362d30382d30325431323a30303a30302e3132333435363738395a616ef661736178",
			map[string]any{"s": "x", "i": int64(1), "f": 1.5, "b": true, "n": nil, "m": map[string]any{"t": noon}},
			false,
		},
		{"nil", boxOfAny + "a16156f6", box[any]{}, sameBytes},
		{"nil in a map", mapOfAny + "a1616ef6", map[string]any{"n": nil}, sameBytes},
		{"no interface", "140d74696d652e4475726174696f6e1b00000014f46b0400", 90 * time.Second, sameBytes},
		{"struct", hex.EncodeToString([]byte(stored(named[point](), ""))) + "a2615820615903", point{-1, 3}, sameBytes},
		{
			"large struct", hex.EncodeToString([]byte(stored(named[account](), ""))) +
				"aa6168a2615803615904616ca26000636d61781bffffffffffffffff624944623432646e616d6564c3a900ff65496e6e6572a26141f46142f5" +
				"65526174696ffa000000016553696e6365c0781e323032362d30382d30325431323a30303a30302e3132333435363738395a65726f6c657382606561" +
				"646d696e664176617461724200ff664d6174726978824301020343040506",
			account{
				Name: "é\x00\xff", Roles: []string{"", "admin"}, Limits: map[string]uint64{"": 0, "max": math.MaxUint64},
				Home: &point{3, 4}, Since: noon, Ratio: math.SmallestNonzeroFloat32, Inner: struct{ A, B bool }{B: true},
				Avatar: []byte{0, 255}, Matrix: grid{{1, 2, 3}, {4, 5, 6}}, ID: "42",
			},
			sameBytes,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			encoded, err := hex.DecodeString(tt.hex)
			if err != nil {
				t.Fatal(err)
			}
			if got := decode(t, string(encoded)); !same(tt.value, got) {
				t.Errorf("got %#v, want %#v", got, tt.value)
			}
			if got := encode(t, tt.value); tt.same && got != string(encoded) {
				t.Errorf("got the bytes %x, want %s as ever", got, tt.hex)
			}
		})
	}
}

// TestDynamicBytes fixes the bytes of interfaces: sessions outlive a deploy.
func TestDynamicBytes(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{map[string]any{"n": 1}, "\x15\x17map[string]interface {}" + "\x06\x00" + "\x01n\x02\x06\x02" + "\xa1an\xf6"},
		{[]any{nil, "a"}, "\x15\x0e[]interface {}" + "\x06\x00" + "\x01\x01\x02\x03a" + "\x82\xf6\xf6"},
		{map[string]any{"b": nil, "a": []any{}}, "\x15\x17map[string]interface {}" + "\x15\x00" + "\x01a\x11\x14\x0e[]interface {}\x80" + "\xa2aa\xf6ab\xf6"},
	} {
		if got := encode(t, tt.value); got != tt.want {
			t.Errorf("%v: got the bytes %q, want %q as ever", tt.value, got, tt.want)
		}
	}
}

// TestStorableUnregistered is about the types that nobody has to register.
func TestStorableUnregistered(t *testing.T) {
	for _, want := range []any{
		[]any{1, "a", nil},
		map[string]any{"n": 1, "tags": []string{"a"}, "limits": map[string]uint16{"a": 1}},
		[]bool{true},
		map[string]bool{"a": true},
		[]string{"a"},
		map[string]string{"a": "b"},
		[][]byte{{1}, nil},
		map[string][]byte{"a": {1}},
		[]time.Time{noon},
		map[string]time.Time{"a": noon},
		[]int{1},
		map[string]int{"a": 1},
		[]int8{1},
		map[string]int8{"a": 1},
		[]int16{1},
		map[string]int16{"a": 1},
		[]int32{1},
		map[string]int32{"a": 1},
		[]int64{1},
		map[string]int64{"a": 1},
		[]uint{1},
		map[string]uint{"a": 1},
		map[string]uint8{"a": 1},
		[]uint16{1},
		map[string]uint16{"a": 1},
		[]uint32{1},
		map[string]uint32{"a": 1},
		[]uint64{1},
		map[string]uint64{"a": 1},
		[]float32{1},
		map[string]float32{"a": 1},
		[]float64{1},
		map[string]float64{"a": 1},
	} {
		encoded := encode(t, want)
		values.Register(reflect.TypeOf(want)) // again, as a program may
		if got := decode(t, encoded); !same(want, got) {
			t.Errorf("got %#v, want %#v", got, want)
		}
		if got := encode(t, want); got != encoded {
			t.Errorf("%T: got other bytes after Register", want)
		}
	}
}

func TestDynamicFloats(t *testing.T) {
	got, ok := decode(t, encode(t, []any{quiet, signal, math.Copysign(0, -1)})).([]any)
	if !ok || len(got) != 3 || !same(quiet, got[0]) || !same(signal, got[1]) || !same(math.Copysign(0, -1), got[2]) {
		t.Errorf("got %#v", got)
	}
}

// TestJSON keeps what encoding/json makes of any document.
func TestJSON(t *testing.T) {
	doc := `{"id":12,"name":"ada","tags":["a",1.5,null,true,[]],"none":{}}`
	for range 9 {
		doc = fmt.Sprintf(`{"in":%s,"and":[%[1]s,"x"]}`, doc)
		if len(doc) > 1000 {
			doc = fmt.Sprintf(`{"in":%s}`, doc)
		}
	}
	var want any
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatal(err)
	}
	encoded := encode(t, want)
	if got := decode(t, encoded); !same(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
	for range 10 {
		if encode(t, want) != encoded {
			t.Fatal("got other bytes for the same value")
		}
	}
}

// TestDynamicAreCopies encodes a value without a change to it, and without memory that
// it shares with what is decoded.
func TestDynamicAreCopies(t *testing.T) {
	var inner any = "x"
	fresh := func() map[string]any {
		return map[string]any{
			"map": map[string]any{"a": 1}, "slice": []any{1}, "bytes": []byte("b"), "nil": nil, "pointer": &box[any]{[]any{1}}, "any": &inner,
		}
	}
	register[*box[any]]()
	register[*any]()
	in := fresh()
	encoded := encode(t, in)
	if !same(fresh(), in) {
		t.Fatalf("got %v changed by Append", in)
	}
	change := func(m map[string]any) {
		m["map"].(map[string]any)["a"] = 2
		m["slice"].([]any)[0] = 2
		m["bytes"].([]byte)[0] = 'X'
		m["pointer"].(*box[any]).V.([]any)[0] = 2
		m["new"] = 1
	}
	change(in)
	first, ok := decode(t, encoded).(map[string]any)
	if !ok || !same(fresh(), first) {
		t.Fatalf("got %v, want %v", first, fresh())
	}
	change(first)
	if got := decode(t, encoded); !same(fresh(), got) {
		t.Errorf("got %v, want %v", got, fresh())
	}
}

type (
	oldEmbed struct {
		box[any]
		A any
	}
	newEmbed struct {
		V any
		A any `json:"A"`
		B any
	}
	renamed[T any] struct {
		W T `json:"V"`
	}
)

// TestDynamicAfterDeploy is what Register of the root package promises, for
// interfaces.
func TestDynamicAfterDeploy(t *testing.T) {
	register[*point]()
	register[text]()
	register[time.Duration]()
	aText := any("x")
	for _, tt := range []changed{
		change[box[any], renamed[any]]("field renamed under its tag", box[any]{1}, renamed[any]{1}),
		change[oldEmbed, newEmbed]("field out of an embedded struct, one added", oldEmbed{box[any]{1}, uint8(2)}, newEmbed{1, uint8(2), nil}),
		change[newEmbed, oldEmbed]("and back", newEmbed{1, 2, 3}, oldEmbed{box[any]{1}, 2}),
		change[box[any], point]("field taken away", box[any]{1}, point{}),
		change[box[any], one[int]]("any to the type it holds", box[any]{1}, one[int]{1}),
		change[box[any], one[point]]("any to the struct it holds", box[any]{point{1, 2}}, one[point]{point{1, 2}}),
		change[box[any], one[*point]]("any to the pointer it holds", box[any]{&point{1, 2}}, one[*point]{&point{1, 2}}),
		change[box[any], one[*point]]("any to a pointer to what it holds", box[any]{point{1, 2}}, one[*point]{&point{1, 2}}),
		change[box[any], one[*any]]("any to a pointer", box[any]{"x"}, one[*any]{&aText}),
		change[one[*any], box[any]]("and back", one[*any]{&aText}, box[any]{"x"}),
		change[box[any], one[fmt.Stringer]]("any to an interface", box[any]{time.Second}, one[fmt.Stringer]{time.Second}),
		change[one[fmt.Stringer], box[any]]("and back", one[fmt.Stringer]{time.Second}, box[any]{time.Second}),
		change[one[int], box[any]]("int to any", one[int]{1}, box[any]{int64(1)}),
		change[box[[]any], one[[3]any]]("slice to a longer array", box[[]any]{[]any{1, "a"}}, one[[3]any]{[3]any{1, "a", nil}}),
		change[box[map[string]any], one[box[any]]]("map to struct", box[map[string]any]{map[string]any{"V": 1, "X": 2}}, one[box[any]]{box[any]{1}}),
		change[one[box[any]], box[map[string]any]]("struct to map", one[box[any]]{box[any]{1}}, box[map[string]any]{map[string]any{"V": 1}}),
		change[box[any], one[string]]("any to another type", box[any]{1}, nil),
		change[box[any], one[point]]("any to another struct", box[any]{text("x")}, nil),
		change[box[any], one[fmt.Stringer]]("any to an interface that does not fit", box[any]{1}, nil),
		change[box[[]any], one[[1]any]]("slice to a shorter array", box[[]any]{[]any{1, "a"}}, nil),
		change[box[[]any], one[[]int]]("slice of any to a slice of int", box[[]any]{[]any{1}}, one[[]int]{[]int{1}}),
		change[box[[]any], one[[]string]]("slice of any to a slice of another type", box[[]any]{[]any{1}}, nil),
		change[box[[]any], one[any]]("slice of any to any", box[[]any]{[]any{1}}, nil),
		change[box[[]any], one[map[string]any]]("slice of any to a map", box[[]any]{[]any{1}}, nil),
		change[box[map[string]any], one[map[int]any]]("other keys", box[map[string]any]{map[string]any{"V": 1}}, nil),
		change[box[map[string]any], one[*int]]("map to a pointer", box[map[string]any]{map[string]any{"V": 1}}, nil),
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
