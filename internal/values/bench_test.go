package values_test

import (
	"testing"

	"github.com/mist-contrib/session/internal/values"
)

// BenchmarkValue bounds what one value costs to encode and to decode.
func BenchmarkValue(b *testing.B) {
	register[point]()
	register[account]()
	register[lookup]()
	register[map[string]any]()
	for _, bench := range []struct {
		name  string
		value any
	}{
		{"int", 12345},
		{"string", "ada"},
		{"time", noon},
		{"small struct", point{1, 2}},
		{"struct", account{Name: "ada", Roles: []string{"admin", "user"}, Limits: map[string]uint64{"a": 1}, Home: &point{3, 4}, Since: noon}},
		{"map", lookup{"a": 1, "b": 2, "c": 3}},
		{"map of any", map[string]any{"name": "ada", "admin": true, "age": int64(36)}},
		{"map of any in a map of any", map[string]any{"user": map[string]any{"name": "ada", "tags": []any{"a", "b"}}}},
	} {
		encoded := encode(b, bench.value)
		b.Run("encode/value="+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 1024)
			for b.Loop() {
				if _, err := values.Append(buf, bench.value); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/value="+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := values.Decode(encoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
