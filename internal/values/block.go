package values

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"strings"
)

// A Block is all values of a session in one string: for each value the length
// of its key, the key, the length of the encoded value, the encoded value. It
// never changes, so a session that was loaded keeps showing what it was loaded
// with, for the price of a pointer; and it holds no pointers, so a million of
// them cost the garbage collector little.
type Block string

// ReadBlock returns bytes as the Block that they are. ok is false for any other bytes.
func ReadBlock(stored string) (b Block, ok bool) {
	for s := stored; s != ""; {
		for range 2 { // the key, and the value
			size, n := uvarint(s)
			if s = s[n:]; n == 0 || size > uint64(len(s)) {
				return "", false
			}
			s = s[size:]
		}
	}
	return Block(stored), true
}

// field cuts the first value off b; ok is false at the end.
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

// length reads what AppendField wrote. Nobody else writes a Block: bytes of a
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

// Values yields keys and values until the context ends, and leaves out what it cannot
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

// Decode decodes a value of the Block. Small values of a large Block are copied
// first, or who keeps one would keep the Block.
func (b Block) Decode(encoded string) (any, error) {
	if len(b) > 1024 && len(encoded) < len(b)/2 {
		encoded = strings.Clone(encoded)
	}
	return Decode(encoded)
}

// A Change is new values behind the ones that stay, and the keys whose old values
// go: one, many, or all.
type Change struct {
	Set   Block
	Key   *string
	Keys  map[string]any // the values do not matter
	Clear bool
	Only  func(now Block) bool // nil: make it whatever is stored now
}

// ErrChanged means that Only of a Change said no.
var ErrChanged = errors.New("session: value changed meanwhile")

// SetAll is the Change that stores all values.
func SetAll(all map[string]any) (Change, error) {
	if err := CheckCount(len(all)); err != nil || len(all) == 0 {
		return Change{}, err
	}
	set := make([]byte, 0, 32*len(all))
	for key, value := range all {
		var err error
		if set, err = AppendField(set, key, value); err != nil {
			return Change{}, err
		}
	}
	return Change{Set: Block(set), Keys: all}, nil
}

// drops reports whether the Change takes out what is stored under key.
func (c *Change) drops(key string) bool {
	if c.Clear || c.Key != nil && *c.Key == key {
		return true
	}
	_, ok := c.Keys[key]
	return ok
}

// With returns the Block after the Change, behind prefix.
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

// Changed is With, for what is stored: it fails with an error of [CheckCount] or
// [CheckSize] where that would be too much.
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

// kept yields the fields that the Change leaves as they are.
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

// total returns how many values there are, and the bytes of their keys and encodings.
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
