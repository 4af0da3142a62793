package values_test

import (
	"errors"
	"math"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/values"
)

func TestRefused(t *testing.T) {
	type stranger struct{ A int }
	var (
		cycle  = &list{}
		selfie = []any{nil}
		self   = ring{}
		chain  loop
		knot   = map[string]any{}
	)
	cycle.Next, selfie[0], self["x"], chain, knot["x"] = cycle, selfie, self, &chain, []any{knot}
	p := new(*point)
	register[callback]()
	register[*any]()
	for _, tt := range []registered{
		{"nil", nil, nil},
		{"named int, not registered", time.March, nil},
		{"named string, not registered", unknownID("x"), nil},
		{"stranger", stranger{1}, nil},
		{"pointer to a stranger", &stranger{1}, nil},
		{"function, not registered", func() {}, nil},
		{"channel, not registered", make(chan int), nil},
		{"error", errors.ErrUnsupported, nil},
		{"uintptr, not registered", uintptr(1), nil},
		{"complex, not registered", 1i, nil},
		kept("uintptr", uintptr(1)),
		kept("complex", 1i),
		kept("function", func() {}),
		kept("channel", make(chan int)),
		kept("struct with a function", callback{func() {}}),
		kept("struct with a channel", channel{make(chan int)}),
		kept("unexported field", account{private: 1}),
		kept("unexported field inside", []map[string]*account{{"x": {private: 1}}}),
		kept("empty map that is left out", omitted{M: map[string]int{}}),
		kept("empty slice that is left out", omitted{S: []int{}}),
		kept("-0 that is left out", omitted{F: math.Copysign(0, -1)}),
		kept("skipped field", skipped{Kept: 1, Skip: 1}),
		kept("interface struct", box[any]{stranger{1}}),
		kept("interface named", box[any]{unknownID("x")}),
		kept("interface pointer", box[any]{&stranger{}}),
		kept("interface pointer to a scalar", box[any]{new(int)}),
		kept("interface slice of strangers", box[any]{[]stranger{}}),
		kept("interface function", box[any]{func() {}}),
		kept("interface nil function", box[any]{(func())(nil)}),
		kept("interface struct with a function", []any{callback{func() {}}}),
		kept("interface with methods", box[error]{errors.ErrUnsupported}),
		kept("interface time of an odd offset", box[any]{noon.In(time.FixedZone("", 1<<20+1))}),
		kept("interface that would lose a field", box[any]{account{private: 1}}),
		kept("interface in a field that is left out", hidden{Skip: 1}),
		kept("interface in an unexported field", hidden{private: 1}),
		kept("stranger inside a map of any", map[string]any{"m": map[string]any{"n": []any{1, stranger{}}}}),
		kept("interface as a key, int", map[any]string{1: "x"}),
		kept("interface in a key", map[box[any]]string{{1}: "x"}),
		kept("NaN as a key of any", map[float64]any{math.NaN(): 1}),
		kept("pointer as a key of any", map[*point]any{{}: 1}),
		kept("channel as a key of any", map[chan int]any{nil: 1}),
		kept("33 levels of any", nestedAny(33)),
		kept("33 levels of slices of any", []any{nestedAny(32)}),
		kept("pointers without end in any", pointers(40)),
		kept("pointer to a nil pointer", p),
		kept("NaN as a key", map[float64]int{math.NaN(): 1}),
		kept("pointer as a key", map[*point]int{{}: 1}),
		kept("time beyond year 9999", box[time.Time]{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
		kept("zero time at an offset", box[time.Time]{time.Time{}.In(kath)}),
		kept("offset of half a minute", box[time.Time]{noon.In(time.FixedZone("", 30))}),
		kept("URL with a path that is not escaped", *parse(url.Parse, "/\x80")),
		kept("URL with a fragment that is not escaped", parse(url.Parse, "/#\x80")),
		kept("lossy slice, longer", lossy{S: []int{1, 2}, M: map[string]int{"a": 1}, V: point{1, 1}}),
		kept("lossy slice, other", lossy{S: []int{2}, M: map[string]int{"a": 1}, V: point{1, 1}}),
		kept("lossy map, longer", lossy{S: []int{1}, M: map[string]int{"a": 1, "b": 2}, V: point{1, 1}}),
		kept("lossy map, other key", lossy{S: []int{1}, M: map[string]int{"b": 1}, V: point{1, 1}}),
		kept("lossy map, other value", lossy{S: []int{1}, M: map[string]int{"a": 2}, V: point{1, 1}}),
		kept("lossy function", lossy{S: []int{1}, M: map[string]int{"a": 1}, F: func() {}, V: point{1, 1}}),
		kept("lossy interface, other type of a kind", lossy{S: []int{1}, M: map[string]int{"a": 1}, V: embedded{}}),
		kept("lossy interface, nil", lossy{S: []int{1}, M: map[string]int{"a": 1}}),
		kept("33 levels", nested(33)),
		kept("33 nodes of a list", linked(33)),
		kept("a million nodes", linked(1_000_000)),
		kept("cycle of pointers", cycle),
		kept("slice that holds itself", selfie),
		kept("map that holds itself", self),
		kept("pointer to itself", chain),
		kept("knot", knot),
		kept("cycle in a key", map[*list]int{cycle: 1}),
		kept("knot in a field", box[any]{&selfie}),
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.register != nil {
				tt.register()
			}
			b, err := values.Append(nil, tt.value)
			if !errors.Is(err, values.ErrValue) || errors.Is(err, values.ErrTooLarge) || b != nil {
				t.Errorf("got %q, %v, want ErrValue", b, err)
			}
		})
	}
}

// TestRefusedAsTooLarge bounds the work for values that are larger than they
// look: parts that are shared, elements that weigh nothing.
func TestRefusedAsTooLarge(t *testing.T) {
	shared := &tree{}
	for range 26 {
		shared = &tree{shared, shared}
	}
	for _, tt := range []registered{
		kept("shared branches", shared),
		kept("empty structs", make([]struct{}, math.MaxInt)),
		kept("array of nothing", [math.MaxInt]struct{}{}),
		kept("name of a map over and over", wide(100, 20_000)),
		kept("long names", map[string][]any{strings.Repeat("x", 1<<19): {1}, strings.Repeat("y", 1<<19): {2}}),
		kept("two million ints", make(ints, 2<<20)),
		kept("too many entries", parse(func(string) (map[int32]int32, error) {
			m := make(map[int32]int32)
			for i := range int32(200_000) {
				m[i] = i
			}
			return m, nil
		}, "")),
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.register()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b, err := values.Append(nil, tt.value)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, values.ErrTooLarge) || b != nil {
				t.Errorf("got %d bytes, %v, want ErrTooLarge", len(b), err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("got %d MiB allocated, want at most 64", used>>20)
			}
		})
	}
}

// One string held many times is not encoded as often to find that it is too
// large.
func TestSharedStringsAreBounded(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	v := make([]string, 400)
	for i := range v {
		v[i] = big
	}
	values.Register(reflect.TypeFor[[]string]())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := values.Append(nil, v)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, values.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were allocated to refuse it", got)
	}
}
