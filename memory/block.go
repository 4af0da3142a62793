package memory

import (
	"encoding/binary"
	"errors"
	"iter"
	"strings"

	"github.com/mist-contrib/session/internal/values"
)

// A block is all values of a session in one string: for each value the length
// of its key, the key, the length of the encoded value, the encoded value. It
// never changes, so a session that was loaded keeps showing what it was loaded
// with, for the price of a pointer; and it holds no pointers, so a million of
// them cost the garbage collector little.
type block string

// field cuts the first value off b; ok is false at the end.
func (b block) field() (key, encoded string, rest block, ok bool) {
	s := string(b)
	n, size := length(s)
	if size == 0 {
		return "", "", "", false
	}
	key, s = s[size:size+n], s[size+n:]
	n, size = length(s)
	return key, s[size : size+n], block(s[size+n:]), true
}

// length reads what appendField wrote. Nobody else writes a block: bytes of a
// stranger are only ever inside an encoded value.
func length(s string) (n, size int) {
	for shift := 0; size < len(s); shift += 7 {
		b := s[size]
		size++
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	return n, size
}

// get returns the encoded value of key.
func (b block) get(key string) (encoded string, ok bool) {
	for {
		k, encoded, rest, more := b.field()
		switch {
		case !more:
			return "", false
		case k == key:
			return encoded, true
		}
		b = rest
	}
}

// all yields keys and encoded values.
func (b block) all() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for {
			key, encoded, rest, ok := b.field()
			if !ok || !yield(key, encoded) {
				return
			}
			b = rest
		}
	}
}

// decode decodes a value of the block. Small values of a large block are copied
// first, or who keeps one would keep the block.
func (b block) decode(encoded string) (any, error) {
	if len(b) > 1024 && len(encoded) < len(b)/2 {
		encoded = strings.Clone(encoded)
	}
	return values.Decode(encoded)
}

// A change is new values (encoded, a block themselves), behind the ones that
// stay, and the keys whose old values go: one, many, or all.
type change struct {
	set   block
	key   *string
	keys  map[string]bool
	clear bool
	only  func(now block) bool // nil: make it whatever is stored now
}

// errChanged means that the only of a change said no.
var errChanged = errors.New("memory: value changed meanwhile")

// setAll is the change that stores all values.
func setAll(all map[string]any) (change, error) {
	if err := values.CheckCount(len(all)); err != nil || len(all) == 0 {
		return change{}, err
	}
	var set []byte
	keys := make(map[string]bool, len(all))
	for key, value := range all {
		keys[key] = true
		var err error
		if set, err = appendField(set, key, value); err != nil {
			return change{}, err
		}
	}
	return change{set: block(set), keys: keys}, nil
}

// drops reports whether the change takes out what is stored under key.
func (c *change) drops(key string) bool {
	return c.clear || c.key != nil && *c.key == key || c.keys[key]
}

// with returns the block after the change, behind prefix.
func (b block) with(c *change, prefix string) string {
	size := len(prefix) + len(c.set)
	for kept := range b.kept(c) {
		size += len(kept)
	}
	var out strings.Builder
	out.Grow(size)
	out.WriteString(prefix)
	for kept := range b.kept(c) {
		out.WriteString(string(kept))
	}
	out.WriteString(string(c.set))
	return out.String()
}

// changed is with, for what is stored: it fails with an error of
// [values.CheckCount] where that would be too many values.
func (b block) changed(c *change, prefix string) (string, error) {
	after := b.with(c, prefix)
	if c.set != "" {
		if err := values.CheckCount(block(after[len(prefix):]).count()); err != nil {
			return "", err
		}
	}
	return after, nil
}

// kept yields the fields that the change leaves as they are.
func (b block) kept(c *change) iter.Seq[block] {
	return func(yield func(block) bool) {
		for {
			key, _, rest, ok := b.field()
			if !ok || !c.drops(key) && !yield(b[:len(b)-len(rest)]) {
				return
			}
			b = rest
		}
	}
}

func (b block) count() int {
	n := 0
	for range b.all() {
		n++
	}
	return n
}

// appendField appends a value to the bytes of a block. Its errors are those of
// [values.CheckKey] and [values.Append].
func appendField(dst []byte, key string, value any) ([]byte, error) {
	if err := values.CheckKey(key); err != nil {
		return nil, err
	}
	var buf [128]byte
	encoded, err := values.Append(buf[:0], value)
	if err != nil {
		return nil, err
	}
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = binary.AppendUvarint(dst, uint64(len(encoded)))
	return append(dst, encoded...), nil
}
