package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// sample is a type that the suite registers.
type sample struct {
	Name  string
	Count int
	Tags  []string
	Since time.Time
	Next  *sample
}

// unregistered is a type that the suite does not register.
type unregistered struct{ Name string }

// kept returns values that every store keeps exactly.
func kept() []any {
	session.Register[sample]()
	session.Register[*sample]()
	session.Register[[]string]()
	session.Register[map[string]int]()
	zone := time.FixedZone("", 5*3600+1800)
	return []any{
		true, false, "", "text", "\x00\xff not UTF-8 \xf0\x28",
		[]byte(nil),
		[]byte{},
		[]byte{0, 255, 128},
		0, -1, math.MaxInt, math.MinInt, int8(-128), int16(math.MinInt16), int32(math.MaxInt32), int64(math.MinInt64),
		uint(7), uint8(255), uint16(math.MaxUint16), uint32(math.MaxUint32), uint64(math.MaxUint64),
		float32(0.1), 0.1, math.Inf(1), math.MaxFloat64, math.SmallestNonzeroFloat64,
		time.Time{},
		time.Date(2026, 2, 28, 23, 59, 59, 999999999, time.UTC), time.Date(1890, 1, 1, 0, 0, 0, 1, zone),
		sample{},
		sample{Name: "a", Count: -1, Tags: []string{"b", ""}, Since: time.Unix(1, 2).UTC(), Next: &sample{Tags: []string{}}},
		&sample{Name: "pointer"}, (*sample)(nil),
		[]string{"a", "b"},
		[]string{},
		[]string(nil),
		map[string]int{"a": 1},
		map[string]int(nil),
		map[string]any{"n": 1, "nil": nil, "in": []any{int8(1), "a", map[string]any{"at": time.Unix(1, 2).UTC()}}},
		[]any{sample{Name: "a"}, &sample{}, []string{"a"}, []byte(nil)},
	}
}

func sameValues() []rule {
	return []rule{
		{"values come back with their type and content", 0, roundTrip},
		{"a long text comes back whole", 0, longText},
		{"values that cannot be stored are refused and the old one stays", 0, unstorable},
		{"an absent key is no error", 0, absentKey},
		{"any bytes are a key", 0, anyKey},
		{"limits are the same and exact", 0, limits},
		{"a session holds 2 MiB and not a byte more", 0, sizeIsExact},
		{"every write counts towards the size", BatchSetter | Updater | Popper | Deleter, sizeOfEveryWrite},
		{"concurrent writers cannot exceed the size together", 0, sizeTogether},
	}
}

func roundTrip(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for i, want := range kept() {
		key := fmt.Sprint(i)
		if err := s.Set(ctx, key, want); err != nil {
			return wrong(err, nil, "Set of %s", show(want))
		}
		if err := errors.Join(shows(ctx, s, key, want), e.holds(ctx, s, key, want)); err != nil {
			return err
		}
	}
	return nil
}

func longText(ctx context.Context, e *env) error {
	long := strings.Repeat("long ", 20_000)
	s, err := e.generateWith(ctx, "key", long)
	if err != nil {
		return err
	}
	return errors.Join(shows(ctx, s, "key", long), e.holds(ctx, s, "key", long))
}

func unstorable(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "key", "old")
	if err != nil {
		return err
	}
	type local struct{ F func() }
	session.Register[local]()
	for _, v := range []any{nil, func() {}, make(chan int), unregistered{"a"}, &unregistered{"a"}, time.Second, complex(1, 1), local{func() {}}, map[string]any{"in": []any{unregistered{"a"}}}} {
		if err := s.Set(ctx, "key", v); !errors.Is(err, session.ErrValue) {
			return wrong(err, session.ErrValue, "Set of %s", typeOf(v))
		}
	}
	return errors.Join(shows(ctx, s, "key", "old"), e.holds(ctx, s, "key", "old"))
}

func absentKey(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for _, key := range []string{"absent", "", strings.Repeat("k", 5000)} {
		if err := errors.Join(shows(ctx, s, key, nil), e.holds(ctx, s, key, nil)); err != nil {
			return err
		}
		if e.Capabilities&Popper != 0 {
			v, err := session.Pop(ctx, s, key)
			switch {
			case err != nil:
				return wrong(err, nil, "Pop of an absent key")
			case v != nil:
				return differs("Pop of an absent key", v, nil)
			}
		}
		if e.Capabilities&Deleter != 0 {
			if err := session.Delete(ctx, s, key); err != nil {
				return wrong(err, nil, "Delete of an absent key")
			}
		}
	}
	return nil
}

func anyKey(ctx context.Context, e *env) error {
	keys := []string{
		"", " ", "\x00", "\n", "\r\nDEL *", "a\x00b", "a", "*", "{tag}", "ключ", "\xff\xfe", "id", "user", "created", "secret", "v", "_", ":", "v:a",
		strings.Repeat("k", 255), strings.Repeat("k", 256),
	}
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if err := s.Set(ctx, key, i); err != nil {
			return wrong(err, nil, "Set of the key %q", short(key))
		}
	}
	for i, key := range keys {
		if err := e.holds(ctx, s, key, i); err != nil {
			return err
		}
	}
	return e.alive(ctx, s)
}

func limits(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "key", "old")
	if err != nil {
		return err
	}
	tooLarge := func(what string, err error) error {
		if !errors.Is(err, session.ErrTooLarge) {
			return wrong(err, session.ErrTooLarge, "%s", what)
		}
		return nil
	}
	const mib = 1 << 20
	longKey := strings.Repeat("k", 257)
	if err := errors.Join(
		tooLarge("Set of a key of 257 bytes", s.Set(ctx, longKey, 1)),
		tooLarge("Set of a string of 1 MiB, to which its type is added", s.Set(ctx, "key", strings.Repeat("v", mib))),
		tooLarge("Set of 1 MiB of bytes, to which their type is added", s.Set(ctx, "key", make([]byte, mib))),
		shows(ctx, s, "key", "old"), e.holds(ctx, s, "key", "old"),
	); err != nil {
		return err
	}
	if err := s.Set(ctx, "key", strings.Repeat("v", mib-16)); err != nil {
		return wrong(err, nil, "Set of almost 1 MiB")
	}
	if err := s.Set(ctx, "key", "old"); err != nil {
		return wrong(err, nil, "Set")
	}
	first := 0
	if e.Capabilities&BatchSetter != 0 { // on a slow machine single calls may outlast the idle timeout
		first = 960
		all := make(map[string]any, first)
		for n := range first {
			all[fmt.Sprint(n)] = n
		}
		if err := session.SetAll(ctx, s, all); err != nil {
			return wrong(err, nil, "SetAll of %d values", first)
		}
	}
	if err := together(func(i int) error {
		for n := first + i; n < 1023; n += many {
			if err := s.Set(ctx, fmt.Sprint(n), n); err != nil {
				return wrong(err, nil, "Set of one of 1024 values")
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := tooLarge("Set of value 1025", s.Set(ctx, "one more", 1)); err != nil {
		return err
	}
	if err := s.Set(ctx, "key", "replaced"); err != nil {
		return wrong(err, nil, "Set of a present key in a session of 1024 values")
	}
	return errors.Join(e.holds(ctx, s, "one more", nil), shows(ctx, s, "one more", nil), e.holds(ctx, s, "key", "replaced"))
}
