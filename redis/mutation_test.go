package redis_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/values"
)

// A mutation is five bytes: the field, what to do with it, where, how many bytes
// of it, and a byte that may be put there.
const mutationSize = 5

func mutated(good map[string]string, mutations []byte) planted {
	names := slices.Sorted(maps.Keys(good))
	r := maps.Clone(good)
	for m := range slices.Chunk(mutations, mutationSize) {
		if len(m) < mutationSize {
			break
		}
		name, what, at, n, b := names[int(m[0])%len(names)], m[1], int(m[2]), int(m[3]), string(m[4:])
		old := r[name]
		at %= len(old) + 1
		n %= len(old) - at + 1
		head, part, tail := old[:at], old[at:at+n], old[at+n:]
		switch what % 8 {
		case 0, 1:
			if tail != "" {
				r[name] = head + part + b + tail[1:]
			}
		case 2:
			r[name] = head + tail
		case 3:
			r[name] = head + strings.Repeat(b, n%8+1) + part + tail
		case 4:
			r[name] = head + part + part + tail
		case 5:
			r[name] = head + r[names[int(m[4])%len(names)]]
		case 6:
			r[name] = tail + part + head
		case 7:
			delete(r, name)
		}
	}
	r["foreign"] = "" // so that it never is a key without fields
	return r
}

// TestMutatedRecords plants up to a million records that are almost right: as
// many as there is time for, the same ones always.
func TestMutatedRecords(t *testing.T) {
	t.Parallel()
	hostages := newHostages(t, newClient(t, unhurried(redistest.Start(t).Addr)))
	random := rand.New(rand.NewPCG(7, 0))
	start, n := time.Now(), 0
	for ; n < 1_000_000 && time.Since(start) < 1500*time.Millisecond && !t.Failed(); n++ {
		mutations := make([]byte, (1+random.IntN(4))*mutationSize)
		for i := range mutations {
			mutations[i] = byte(random.Uint32())
		}
		v := hostages[n%len(hostages)]
		v.try(t, fmt.Sprintf("%q", mutations), mutated(v.good, mutations), random.IntN(len(attempts)))
	}
	t.Logf("%d records", n)
}

// FuzzRecord lets the fuzzer do the same.
func FuzzRecord(f *testing.F) {
	for n := range 2 * len(attempts) {
		f.Add(byte(n), "")
		f.Add(byte(n), "\x05\x00\x00\x30x\x02\x02\x01\x09x")
	}
	hostages := newHostages(f, newClient(f, unhurried(redistest.Start(f).Addr)))
	f.Fuzz(func(t *testing.T, n byte, mutations string) {
		v := hostages[int(n)/len(attempts)%len(hostages)]
		v.try(t, "mutated", mutated(v.good, []byte(mutations)), int(n)%len(attempts))
	})
}

type couple struct{ A, B int }

// TestHostileValues stores bytes that are no value: that is an error of their
// key only, and what a program can do away with.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	session.Register[couple]()
	ctx := t.Context()
	v := newHostages(t, newClient(t, unhurried(redistest.Start(t).Addr)))[0]
	stored := func(name, cbor string) string { return "\x14" + string(rune(len(name))) + name + cbor }
	known := reflect.TypeFor[couple]().PkgPath() + ".couple"
	if v, err := values.Decode(stored(known, "\xa0")); v != (couple{}) || err != nil {
		t.Fatalf("the test is wrong: got %v, %v", v, err)
	}
	for _, bytes := range []string{
		"", "\x00", "\x15", "\xff", "\x01x", "\x05x", "\x06", "\x06\x80", "\x06\x80\x00", "\x06" + strings.Repeat("\xff", 20), "\x07\x80\x02", "\x0c\x80\x02",
		"\x10\x00", "\x11\x00", "\x12\x00", "\x13\x00\x00", "\x13\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "=\x06\x02", "-", "text",
		"\x14", "\x14\x00", "\x14\x7fabc", stored("abc", "\xf6"), "\x14\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abc",
		stored(known, ""), stored(known, "\x01"), stored(known, "\x9b"+strings.Repeat("\xff", 8)), stored(known, strings.Repeat("\x81", 1000)),
		stored(strings.ToUpper(known), "\xa0"),
		"\x03" + strings.Repeat("x", 1<<20),
	} {
		name := fmt.Sprintf("%.40q", bytes)
		r := maps.Clone(v.good)
		r[":bad"], r[":"], r["bad"] = bytes, bytes, bytes
		v.plant(t, r)
		opened, err := v.Open(ctx, v.tokens[2])
		if err != nil {
			t.Errorf("%s: Open: %v", name, err)
			continue
		}
		got, err := v.Get(ctx, v.id)
		if err != nil {
			t.Errorf("%s: Get: %v", name, err)
			continue
		}
		for _, s := range []session.Session{opened, got, v.loaded} { // the last does not show it
			if a, err := s.Get(ctx, "a"); a != 1 || err != nil {
				t.Errorf("%s: Get of another key: got %v, %v", name, a, err)
			}
			if all, err := program.Shown(ctx, s); len(all) != 2 || err != nil {
				t.Errorf("%s: All: got %d values, %v, want the 2 that can be read", name, len(all), err)
			}
			called := false
			for what, err := range map[string]error{
				"Pop":     errorOf(session.Pop(ctx, s, "bad")),
				"Update":  session.Update(ctx, s, "bad", func(old any) (any, error) { called = called || old != nil; return 1, nil }),
				"Get":     errorOf(got.Get(ctx, "bad")),
				"of \"\"": errorOf(opened.Get(ctx, "")),
			} {
				if !errors.Is(err, session.ErrValue) || errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: %s: got %v, want ErrValue", name, what, err)
				}
			}
			if called {
				t.Errorf("%s: Update gave its function a value", name)
			}
			if stored := v.client.HGet(ctx, v.key, ":bad").Val(); stored != bytes {
				t.Errorf("%s: what cannot be read did not stay", name)
			}
		}
		if err := errors.Join(got.Set(ctx, "bad", "good"), session.Delete(ctx, opened, "")); err != nil {
			t.Errorf("%s: Set and Delete: %v", name, err)
		}
		again, err := v.Get(ctx, v.id)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := program.Shown(ctx, again); err != nil || !maps.Equal(all, map[string]any{"a": 1, "b": "x", "bad": "good"}) {
			t.Errorf("%s: after Set and Delete got %d values, %v", name, len(all), err)
		}
	}
}
