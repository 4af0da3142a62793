package session

import "github.com/mist-contrib/session/internal/values"

// The limits of a session are the same in every store. A larger write fails with
// [ErrTooLarge].
const (
	MaxKeySize   = values.MaxKey   // bytes of a key
	MaxValueSize = values.MaxValue // bytes of an encoded value
	MaxValues    = values.MaxCount // values in a session
	MaxSize      = values.MaxSize  // bytes of all keys and encoded values of a session
)

// EncodeValue returns the bytes to store for a value. It is for authors of a [Store].
// [DecodeValue] returns a value of the same type and content from them. Equal values of
// one type have equal bytes. The encoding is stable: later versions of this module read
// it.
//
// It fails with [ErrValue] if the value cannot be stored, as Set of [Session] says, and
// with [ErrTooLarge] if the encoding exceeds [MaxValueSize].
func EncodeValue(value any) ([]byte, error) {
	return values.Append(nil, value)
}

// DecodeValue returns the value that [EncodeValue] encoded. It shares no memory with
// encoded. Any bytes are safe to decode. It fails with [ErrValue] if they are not a
// value of a type that this program knows, see [Register].
func DecodeValue(encoded []byte) (any, error) {
	return values.Decode(string(encoded))
}
