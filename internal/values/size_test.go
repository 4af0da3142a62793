package values_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/values"
)

// TestSize stores values at the limit of a whole session, and in one that is larger
// already.
func TestSize(t *testing.T) {
	t.Parallel()
	// block is a session of one value that nobody could set, so that it has a size.
	block := func(size int) values.Block {
		return values.Block("\x03old" + string(binary.AppendUvarint(nil, uint64(size-3))) + strings.Repeat("v", size-3))
	}
	set := func(key string, encoded int) *values.Change {
		b, err := values.AppendField(nil, key, strings.Repeat("v", encoded-1))
		if err != nil {
			t.Fatal(err)
		}
		return &values.Change{Set: values.Block(b), Key: &key}
	}
	const limit = values.MaxSize
	for name, tt := range map[string]struct {
		before int
		c      *values.Change
		want   error
	}{
		"the last byte":              {limit - 10, set("key", 7), nil},
		"one more":                   {limit - 10, set("key", 8), values.ErrTooLarge},
		"one more of the key":        {limit - 10, set("keys", 7), values.ErrTooLarge},
		"smaller, in place":          {limit, set("old", 5), nil},
		"smaller, from over it":      {limit + 10, set("old", 5), nil},
		"a value more, from over it": {limit + 10, set("key", 1), values.ErrTooLarge},
		"taken out, from over it":    {limit + 10, &values.Change{Keys: map[string]any{"key": nil}}, nil},
	} {
		b := block(tt.before)
		after, err := b.Changed(tt.c, "id")
		if !errors.Is(err, tt.want) || (err == nil) != (after == b.With(tt.c, "id")) {
			t.Errorf("%s: got %d bytes, %v, want %v", name, len(after), err, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		before, after int
		want          error
	}{
		"as large as before":    {limit + 10, limit + 10, nil},
		"smaller than before":   {limit + 10, limit + 9, nil},
		"larger than before":    {limit + 10, limit + 11, values.ErrTooLarge},
		"over it for the first": {limit, limit + 1, values.ErrTooLarge},
	} {
		if err := values.CheckSize(tt.before, tt.after); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}
