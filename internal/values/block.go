package values

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"strings"
)

// A Block holds all values of a session in one string. Each value is stored as the
// length of its key, the key, the length of the encoded value, and the encoded value. A
// Block never changes, so a loaded session can share it instead of copying it. It
// contains no pointers, so a million Blocks cost the garbage collector little.
type Block string

// ReadBlock returns stored as a Block. ok is false if the bytes are not a Block.
func ReadBlock(stored string) (b Block, ok bool) {
	for s := stored; s != ""; {
		for range 2 { // the key, and the value
			if _, s, ok = cut(s); !ok {
				return "", false
			}
		}
	}
	return Block(stored), true
}

// field splits the first value off b; ok is false at the end.
func (b Block) field() (key, encoded string, rest Block, ok bool) {
	s := string(b)
	n, size := length(s)
	if size == 0 {
		return "", "", "", false
	}
	key, s = s[size:size+n], s[size+n:]
	n, size = length(s)
	return key, s[size : size+n], Block(s[size+n:]), true
}

// length reads a length that AppendField wrote. It needs no checks: foreign bytes occur
// only inside an encoded value.
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

// Get returns the encoded value of key.
func (b Block) Get(key string) (encoded string, ok bool) {
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

// All yields keys and encoded values.
func (b Block) All() iter.Seq2[string, string] {
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

// Value returns the value of key; an absent key gives nil, nil.
func (b Block) Value(key string) (any, error) {
	encoded, ok := b.Get(key)
	if !ok {
		return nil, nil //nolint:nilnil // the contract of an absent key
	}
	return b.Decode(encoded)
}

// Values yields keys and values until the context ends. It skips values that it cannot
// decode.
func (b Block) Values(ctx context.Context, yield func(key string, value any) bool) {
	for key, encoded := range b.All() {
		if ctx == nil || ctx.Err() != nil {
			return
		}
		if v, err := b.Decode(encoded); err == nil && !yield(strings.Clone(key), v) {
			return
		}
	}
}

// Decode decodes a value of the Block. It copies small values of a large Block first, so
// that a caller who keeps the value does not keep the whole Block in memory.
func (b Block) Decode(encoded string) (any, error) {
	if len(b) > 1024 && len(encoded) < len(b)/2 {
		encoded = strings.Clone(encoded)
	}
	return Decode(encoded)
}

// A Change adds values to a Block and removes old ones: those of its Keys, or all of
// them with Clear.
type Change struct {
	Set   Block
	Key   *string
	Keys  map[string]any // the values do not matter
	Clear bool
	Only  func(now Block) bool // nil: apply the change to whatever is stored now
}

// ErrChanged means that the function Only of a Change returned false.
var ErrChanged = errors.New("session: value changed meanwhile")

// SetAll is the Change that stores all values.
func SetAll(all map[string]any) (Change, error) {
	if err := CheckCount(len(all)); err != nil || len(all) == 0 {
		return Change{}, err
	}
	var buf [256]byte
	set := buf[:0]
	for key, value := range all {
		var err error
		if set, err = AppendField(set, key, value); err != nil {
			return Change{}, err
		}
	}
	return Change{Set: Block(set), Keys: all}, nil
}

// drops reports whether the Change removes the value stored under key.
func (c *Change) drops(key string) bool {
	if c.Clear || c.Key != nil && *c.Key == key {
		return true
	}
	_, ok := c.Keys[key]
	return ok
}

// With returns prefix and, behind it, the Block after the Change.
func (b Block) With(c *Change, prefix string) string {
	size := len(prefix) + len(c.Set)
	for kept := range b.kept(c) {
		size += len(kept)
	}
	var out strings.Builder
	out.Grow(size)
	out.WriteString(prefix)
	for kept := range b.kept(c) {
		out.WriteString(string(kept))
	}
	out.WriteString(string(c.Set))
	return out.String()
}

// Changed is With for stored values. It fails with an error of [CheckCount] or
// [CheckSize] if the result exceeds the limits.
func (b Block) Changed(c *Change, prefix string) (string, error) {
	after := b.With(c, prefix)
	if c.Set == "" {
		return after, nil
	}
	count, size := Block(after[len(prefix):]).total()
	if err := CheckCount(count); err != nil {
		return "", err
	}
	if size > MaxSize {
		_, before := b.total()
		if err := CheckSize(before, size); err != nil {
			return "", err
		}
	}
	return after, nil
}

// kept yields the fields that the Change leaves unchanged.
func (b Block) kept(c *Change) iter.Seq[Block] {
	return func(yield func(Block) bool) {
		for {
			key, _, rest, ok := b.field()
			if !ok || !c.drops(key) && !yield(b[:len(b)-len(rest)]) {
				return
			}
			b = rest
		}
	}
}

// total returns the number of values, and the bytes of their keys and encodings.
func (b Block) total() (count, size int) {
	for key, encoded := range b.All() {
		count++
		size += len(key) + len(encoded)
	}
	return count, size
}

// AppendField appends a value to the bytes of a Block. Its errors are those of
// [CheckKey] and [Append].
func AppendField(dst []byte, key string, value any) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	start := len(dst)
	dst, err := Append(append(dst, 0), value) // the length of most values takes one byte
	if err != nil {
		return nil, err
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(dst)-start-1)) //nolint:gosec // not negative
	return slices.Replace(dst, start, start+1, length[:n]...), nil
}
