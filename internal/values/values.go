// Package values encodes and decodes the values of a session for all stores. Decoding
// returns an equal value of the same dynamic type, or an error.
//
// An encoded value is a kind byte and a payload. Scalars have compact payloads of their
// own. The payload of a registered type is the type's name and CBOR (RFC 8949).
package values

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// MaxKey is the length of the longest key, in bytes.
	MaxKey = 256
	// MaxValue is the length of the longest encoded value, in bytes.
	MaxValue = 1 << 20
	// MaxCount is the maximum number of values in a session.
	MaxCount = 1024
	// MaxSize is the maximum size of all keys and encoded values of a session, in bytes.
	// Redis sends the whole session at each read, and memory copies it at each write.
	MaxSize = 2 << 20
)

// The root package documents these errors.
var (
	ErrValue    = errors.New("session: value cannot be kept")
	ErrTooLarge = errors.New("session: too large")
)

// These errors are created once, because they do not depend on the input.
var (
	errMalformed = fmt.Errorf("%w: malformed bytes", ErrValue)
	errKey       = fmt.Errorf("%w: key over %d bytes", ErrTooLarge, MaxKey)
	errValue     = fmt.Errorf("%w: encoded value over %d bytes", ErrTooLarge, MaxValue)
	errCount     = fmt.Errorf("%w: more than %d values", ErrTooLarge, MaxCount)
	errSize      = fmt.Errorf("%w: keys and encoded values over %d bytes", ErrTooLarge, MaxSize)
	errDeep      = fmt.Errorf("%w: nested deeper than %d levels", ErrValue, maxDepth)
	errFit       = fmt.Errorf("%w: stored bytes do not fit the type", ErrValue)
	errOffset    = fmt.Errorf("%w: time with an offset of over %d seconds", ErrValue, maxOffset)
)

// A kind says how to read the payload that follows. The numbers are stored, so a new
// kind takes a new number and no number is reused.
type kind byte

const (
	kindInvalid kind = iota
	kindFalse
	kindTrue
	kindString
	kindBytes
	kindNilBytes
	kindInt
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindUint
	kindUint8
	kindUint16
	kindUint32
	kindUint64
	kindFloat32
	kindFloat64
	kindTimeUTC
	kindTimeZone
	kindRegistered
	kindDynamic
)

// CheckKey returns an error that matches [ErrTooLarge] if a key is too long. A key may
// contain any bytes, and it may be empty.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return errKey
	}
	return nil
}

// CheckCount returns an error that matches [ErrTooLarge] if there are too many values.
func CheckCount(n int) error {
	if n > MaxCount {
		return errCount
	}
	return nil
}

// CheckSize returns an error that matches [ErrTooLarge] if a write makes a session
// larger than [MaxSize]. A session that is already larger may shrink.
func CheckSize(before, after int) error {
	if after > max(before, MaxSize) {
		return errSize
	}
	return nil
}

// Append appends the encoded value to dst. Its errors match [ErrValue] (the value cannot
// be stored exactly) or [ErrTooLarge].
func Append(dst []byte, value any) ([]byte, error) {
	out, err := appendBasic(dst, value)
	if err != nil || len(out) > len(dst) {
		return out, err
	}
	encoded, err := encodeRegistered(value, false)
	if err != nil {
		return nil, err
	}
	return append(dst, encoded...), nil
}

// appendBasic is Append for the types that need no registration. For another type it
// appends nothing. The code for registered types is apart, because it calls itself, and so
// the compiler would put every dst on the heap.
func appendBasic(dst []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case bool:
		if v {
			return append(dst, byte(kindTrue)), nil
		}
		return append(dst, byte(kindFalse)), nil
	case string:
		if len(v) >= MaxValue {
			return nil, errValue
		}
		return append(append(dst, byte(kindString)), v...), nil
	case []byte:
		if v == nil {
			return append(dst, byte(kindNilBytes)), nil
		}
		if len(v) >= MaxValue {
			return nil, errValue
		}
		return append(append(dst, byte(kindBytes)), v...), nil
	case int:
		return appendInt(dst, kindInt, int64(v)), nil
	case int8:
		return appendInt(dst, kindInt8, int64(v)), nil
	case int16:
		return appendInt(dst, kindInt16, int64(v)), nil
	case int32:
		return appendInt(dst, kindInt32, int64(v)), nil
	case int64:
		return appendInt(dst, kindInt64, v), nil
	case uint:
		return appendUint(dst, kindUint, uint64(v)), nil
	case uint8:
		return appendUint(dst, kindUint8, uint64(v)), nil
	case uint16:
		return appendUint(dst, kindUint16, uint64(v)), nil
	case uint32:
		return appendUint(dst, kindUint32, uint64(v)), nil
	case uint64:
		return appendUint(dst, kindUint64, v), nil
	case float32:
		return binary.LittleEndian.AppendUint32(append(dst, byte(kindFloat32)), math.Float32bits(v)), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(dst, byte(kindFloat64)), math.Float64bits(v)), nil
	case time.Time:
		return appendTime(dst, v)
	}
	return dst, nil
}

func appendInt(dst []byte, k kind, v int64) []byte {
	return binary.AppendVarint(append(dst, byte(k)), v)
}

func appendUint(dst []byte, k kind, v uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(k)), v)
}

// appendTime stores the instant to the nanosecond and the offset from UTC. Like
// [time.Time.MarshalBinary], it drops the name of the zone and the monotonic reading.
func appendTime(dst []byte, t time.Time) ([]byte, error) {
	k := kindTimeUTC
	if t.Location() != time.UTC {
		k = kindTimeZone
	}
	dst = binary.AppendVarint(append(dst, byte(k)), t.Unix())
	dst = binary.AppendUvarint(dst, uint64(t.Nanosecond())) //nolint:gosec // 0 to 999999999
	if k == kindTimeZone {
		_, offset := t.Zone()
		if offset < -maxOffset || offset > maxOffset {
			return nil, errOffset
		}
		dst = binary.AppendVarint(dst, int64(offset))
	}
	return dst, nil
}

// Decode returns the value that was passed to [Append]. The result shares no mutable
// memory with encoded. Its errors match [ErrValue]. It never panics, whatever the bytes
// are. Bytes that Append did not write may give a value that Append refuses.
func Decode(encoded string) (any, error) {
	return decode(encoded, nil)
}

// decode is Decode. If the value is not inside another one, r is nil.
func decode(encoded string, r *restorer) (any, error) {
	if encoded == "" || len(encoded) > MaxValue {
		return nil, errMalformed
	}
	k, payload := kind(encoded[0]), encoded[1:]
	switch k {
	case kindString:
		return payload, nil
	case kindBytes:
		return []byte(payload), nil
	case kindFloat32:
		if len(payload) == 4 {
			return math.Float32frombits(binary.LittleEndian.Uint32([]byte(payload))), nil
		}
	case kindFloat64:
		if len(payload) == 8 {
			return math.Float64frombits(binary.LittleEndian.Uint64([]byte(payload))), nil
		}
	case kindFalse, kindTrue:
		if payload == "" {
			return k == kindTrue, nil
		}
	case kindNilBytes:
		if payload == "" {
			return []byte(nil), nil
		}
	case kindInt, kindInt8, kindInt16, kindInt32, kindInt64:
		return decodeInt(k, payload)
	case kindUint, kindUint8, kindUint16, kindUint32, kindUint64:
		return decodeUint(k, payload)
	case kindTimeUTC, kindTimeZone:
		return decodeTime(k, payload)
	case kindRegistered, kindDynamic:
		return decodeRegistered(k, payload, r)
	}
	return nil, errMalformed
}

func decodeInt(k kind, payload string) (any, error) {
	v, n := varint(payload)
	if n == 0 || n != len(payload) {
		return nil, errMalformed
	}
	switch {
	case k == kindInt && math.MinInt <= v && v <= math.MaxInt:
		return int(v), nil
	case k == kindInt8 && math.MinInt8 <= v && v <= math.MaxInt8:
		return int8(v), nil
	case k == kindInt16 && math.MinInt16 <= v && v <= math.MaxInt16:
		return int16(v), nil
	case k == kindInt32 && math.MinInt32 <= v && v <= math.MaxInt32:
		return int32(v), nil
	case k == kindInt64:
		return v, nil
	}
	return nil, errMalformed
}

func decodeUint(k kind, payload string) (any, error) {
	v, n := uvarint(payload)
	if n == 0 || n != len(payload) {
		return nil, errMalformed
	}
	switch {
	case k == kindUint && v <= math.MaxUint:
		return uint(v), nil
	case k == kindUint8 && v <= math.MaxUint8:
		return uint8(v), nil
	case k == kindUint16 && v <= math.MaxUint16:
		return uint16(v), nil
	case k == kindUint32 && v <= math.MaxUint32:
		return uint32(v), nil
	case k == kindUint64:
		return v, nil
	}
	return nil, errMalformed
}

func decodeTime(k kind, payload string) (any, error) {
	sec, n := varint(payload)
	payload = payload[n:]
	nsec, m := uvarint(payload)
	payload = payload[m:]
	if n == 0 || m == 0 || nsec > 999_999_999 {
		return nil, errMalformed
	}
	t := time.Unix(sec, int64(nsec))
	if k == kindTimeUTC {
		if payload != "" {
			return nil, errMalformed
		}
		return t.UTC(), nil
	}
	offset, o := varint(payload)
	if o == 0 || o != len(payload) || offset < -maxOffset || offset > maxOffset {
		return nil, errMalformed
	}
	if _, local := t.Zone(); int64(local) == offset {
		return t, nil
	}
	return t.In(time.FixedZone("", int(offset))), nil
}

// maxOffset is the largest accepted offset of a time zone, in seconds.
const maxOffset = 1 << 20

// cut reads a length and returns that many bytes and the rest.
func cut(s string) (value, rest string, ok bool) {
	size, n := uvarint(s)
	s = s[n:]
	if n == 0 || size > uint64(len(s)) {
		return "", "", false
	}
	return s[:size], s[size:], true
}

// varint and uvarint read from a string without copying it; n is the number of bytes
// read. n is 0 if the bytes are not an integer of at most 64 bits in its shortest form.

func varint(s string) (v int64, n int) {
	u, n := uvarint(s)
	v = int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v, n
}

func uvarint(s string) (v uint64, n int) {
	for i := range min(len(s), binary.MaxVarintLen64) {
		b := s[i]
		if b < 0x80 {
			if i == binary.MaxVarintLen64-1 && b > 1 || i > 0 && b == 0 {
				return 0, 0
			}
			return v | uint64(b)<<(7*i), i + 1
		}
		v |= uint64(b&0x7f) << (7 * i)
	}
	return 0, 0
}
