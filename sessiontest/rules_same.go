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

// unregistered is one that it does not.
type unregistered struct{ Name string }

// kept are values that every store keeps exactly.
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
	}
}

func sameValues() []rule {
	return []rule{
		{"values come back with their type and content", 0, roundTrip},
		{"a long text comes back whole", 0, longText},
		{"values that cannot be kept are refused and the old one stays", 0, unkeepable},
		{"an absent key is no error", 0, absentKey},
		{"any bytes are a key", 0, anyKey},
		{"limits are the same and exact", 0, limits},
		{"a session has room for 2 MiB and no byte more", 0, sizeIsExact},
		{"every write keeps account of the size", BatchSetter | Updater | Popper | Deleter, sizeOfEveryWrite},
		{"writers at the same time do not pass the size together", 0, sizeTogether},
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
			return fmt.Errorf("Set of a %T: %w", want, err)
		}
		if err := errors.Join(shows(ctx, s, key, want), e.holds(ctx, s, key, want)); err != nil {
			return fmt.Errorf("a %T: %w", want, err)
		}
	}
	return nil
}

func longText(ctx context.Context, e *env) error {
	long := strings.Repeat("long ", 20_000)
	s, err := e.with(ctx, "key", long)
	if err != nil {
		return err
	}
	return errors.Join(shows(ctx, s, "key", long), e.holds(ctx, s, "key", long))
}

func unkeepable(ctx context.Context, e *env) error {
	s, err := e.with(ctx, "key", "old")
	if err != nil {
		return err
	}
	type local struct{ F func() }
	session.Register[local]()
	for _, v := range []any{nil, func() {}, make(chan int), unregistered{"a"}, &unregistered{"a"}, time.Second, complex(1, 1), local{func() {}}} {
		if err := s.Set(ctx, "key", v); !errors.Is(err, session.ErrValue) {
			return fmt.Errorf("Set of a %T: got %v, want ErrValue", v, err)
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
			if v, err := session.Pop(ctx, s, key); v != nil || err != nil {
				return fmt.Errorf("Pop of an absent key: got %T, %v, want nil, nil", v, err)
			}
		}
		if e.Capabilities&Deleter != 0 {
			if err := session.Delete(ctx, s, key); err != nil {
				return fmt.Errorf("Delete of an absent key: %w", err)
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
			return fmt.Errorf("Set under key %q: %w", key, err)
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
	s, err := e.with(ctx, "key", "old")
	if err != nil {
		return err
	}
	tooLarge := func(what string, err error) error {
		if !errors.Is(err, session.ErrTooLarge) {
			return fmt.Errorf("%s: got %v, want ErrTooLarge", what, err)
		}
		return nil
	}
	const mib = 1 << 20
	longKey := strings.Repeat("k", 257)
	if err := errors.Join(
		tooLarge("a key of 257 bytes", s.Set(ctx, longKey, 1)),
		tooLarge("a string of 1 MiB and its kind", s.Set(ctx, "key", strings.Repeat("v", mib))),
		tooLarge("1 MiB of bytes and their kind", s.Set(ctx, "key", make([]byte, mib))),
		shows(ctx, s, "key", "old"), e.holds(ctx, s, "key", "old"),
	); err != nil {
		return err
	}
	if err := s.Set(ctx, "key", strings.Repeat("v", mib-16)); err != nil {
		return fmt.Errorf("Set of almost 1 MiB: %w", err)
	}
	if err := s.Set(ctx, "key", "old"); err != nil {
		return err
	}
	first := 0
	if e.Capabilities&BatchSetter != 0 { // one by one takes a slow machine as long as the session lives
		first = 960
		all := make(map[string]any, first)
		for n := range first {
			all[fmt.Sprint(n)] = n
		}
		if err := session.SetAll(ctx, s, all); err != nil {
			return fmt.Errorf("SetAll of %d values: %w", first, err)
		}
	}
	if err := together(func(i int) error {
		for n := first + i; n < 1023; n += many {
			if err := s.Set(ctx, fmt.Sprint(n), n); err != nil {
				return fmt.Errorf("Set of one of 1024 values: %w", err)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := tooLarge("value 1025", s.Set(ctx, "one more", 1)); err != nil {
		return err
	}
	if err := s.Set(ctx, "key", "replaced"); err != nil {
		return fmt.Errorf("Set of a key that is there, at 1024 values: %w", err)
	}
	return errors.Join(e.holds(ctx, s, "one more", nil), shows(ctx, s, "one more", nil), e.holds(ctx, s, "key", "replaced"))
}
