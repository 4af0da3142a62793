package values

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// registry is what [Register] has been told, for the whole program: a stored
// value names its type, and only a type that was registered is ever made.
//
//nolint:gochecknoglobals // the one exception: what types exist is a fact about the program
var registry struct {
	sync.RWMutex
	names map[reflect.Type]string // "" for a type whose name another type has
	types map[string]reflect.Type
}

// Register makes a type storable. It may be called again, and at any time; two
// different types of one name (declared in two functions) cannot both be kept,
// the second is refused by [Append].
func Register(t reflect.Type) {
	if t.Kind() == reflect.Interface {
		return // the values behind it have types of their own
	}
	name := typeName(t)
	registry.Lock()
	defer registry.Unlock()
	if registry.names == nil {
		registry.names = make(map[reflect.Type]string)
		registry.types = make(map[string]reflect.Type)
	}
	switch registry.types[name] {
	case nil:
		registry.types[name] = t
		registry.names[t] = name
	case t:
	default:
		registry.names[t] = ""
	}
}

// typeName names a type in full, so that types of two packages of the same
// name stay apart, and the same in every build of a program.
func typeName(t reflect.Type) string {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + typeName(t.Elem())
	case reflect.Slice:
		return "[]" + typeName(t.Elem())
	case reflect.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), typeName(t.Elem()))
	case reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	default:
		return t.String()
	}
}

func registeredName(t reflect.Type) (name string, known bool) {
	registry.RLock()
	defer registry.RUnlock()
	name, known = registry.names[t]
	return name, known
}

func registeredType(name string) reflect.Type {
	registry.RLock()
	defer registry.RUnlock()
	return registry.types[name]
}

// maxDepth is how many structs, slices, arrays and maps may be inside each
// other, in both directions.
const maxDepth = 32

//nolint:gochecknoglobals // immutable after start-up
var (
	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical, // the same bytes for the same value: Update compares them
		Time:          cbor.TimeRFC3339Nano,
		TimeTag:       cbor.EncTagRequired,
		NilContainers: cbor.NilContainerAsNull,
		NaNConvert:    cbor.NaNConvertNone,
		InfConvert:    cbor.InfConvertNone,
	}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		TimeTag:           cbor.DecTagRequired, // no number becomes a time
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  MaxValue, // the bytes are the limit
		MaxMapPairs:       MaxValue,
		IndefLength:       cbor.IndefLengthForbidden,
		UTF8:              cbor.UTF8DecodeInvalid,
		IntDec:            cbor.IntDecConvertSignedOrFail,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive, // "name" never becomes Name
		DefaultMapType:    reflect.TypeFor[map[string]any](),
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// appendRegistered appends the kind, name and CBOR of a value of a registered
// type. What it appends has been decoded once and found equal to value: a field
// that the encoding leaves out, or an interface whose dynamic type it changes,
// is refused here instead of lost later.
func appendRegistered(dst []byte, value any) ([]byte, error) {
	t := reflect.TypeOf(value)
	if t == nil {
		return nil, fmt.Errorf("%w: nil", ErrValue)
	}
	name, known := registeredName(t)
	switch {
	case !known:
		return nil, fmt.Errorf("%w: type %v is not registered", ErrValue, t)
	case name == "":
		return nil, fmt.Errorf("%w: another type is registered under the name of %v", ErrValue, t)
	}
	w := walk{left: maxVisits}
	if err := w.bounded(reflect.ValueOf(value), 0); err != nil {
		return nil, fmt.Errorf("%w: type %v", err, t)
	}
	start := len(dst)
	dst = append(dst, byte(kindRegistered))
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	buf := bytes.NewBuffer(dst)
	if err := encMode.NewEncoder(buf).Encode(value); err != nil {
		return nil, fmt.Errorf("%w: type %v has no encoding", ErrValue, t)
	}
	encoded := buf.Bytes()
	if len(encoded)-start > MaxValue {
		return nil, errValue
	}
	back := reflect.New(t)
	if err := decMode.Unmarshal(encoded[len(dst):], back.Interface()); err != nil || !equal(reflect.ValueOf(value), back.Elem()) {
		return nil, fmt.Errorf("%w: type %v: this value would not come back the same", ErrValue, t)
	}
	return encoded, nil
}

func decodeRegistered(payload string) (any, error) {
	size, n := uvarint(payload)
	payload = payload[n:]
	if n == 0 || size > uint64(len(payload)) {
		return nil, errMalformed
	}
	name, encoded := payload[:size], payload[size:]
	t := registeredType(name)
	if t == nil {
		return nil, fmt.Errorf("%w: stored under a type name that is not registered", ErrValue)
	}
	back := reflect.New(t)
	if err := decMode.Unmarshal([]byte(encoded), back.Interface()); err != nil {
		return nil, fmt.Errorf("%w: stored bytes do not fit type %v", ErrValue, t)
	}
	return back.Elem().Interface(), nil
}
