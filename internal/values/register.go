package values

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// registry lists the storable types of the whole program. Stored values name their
// types, and decoding creates only the types in this list.
//
//nolint:gochecknoglobals // the one exception: the set of types is a fact about the program
var registry = newTypes()

type types struct {
	sync.RWMutex
	known map[reflect.Type]registration
	named map[string]reflect.Type
}

type registration struct {
	name    string
	dynamic bool  // values of the type may have interfaces
	refused error // why no value of the type can be stored
}

// newTypes returns the types that are storable without [Register]: slices of
// scalars or interfaces, and maps of them by string.
func newTypes() *types {
	r := &types{known: make(map[reflect.Type]registration), named: make(map[string]reflect.Type)}
	text := reflect.TypeFor[string]()
	for _, elem := range []reflect.Type{
		reflect.TypeFor[any](), reflect.TypeFor[bool](), text, reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](),
		reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
		reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
		reflect.TypeFor[float32](), reflect.TypeFor[float64](),
	} {
		r.add(reflect.SliceOf(elem))
		r.add(reflect.MapOf(text, elem))
	}
	return r
}

// Register makes a type storable. It may be called repeatedly and at any time. Two
// functions may declare different types with the same name. [Append] then refuses the
// type that was registered second. It also refuses a type that is [endless].
func Register(t reflect.Type) {
	if t.Kind() != reflect.Interface { // a value in an interface has a type of its own
		registry.add(t)
	}
}

func (r *types) add(t reflect.Type) {
	name := typeName(t)
	known := registration{name: name}
	if endless(t, make(map[reflect.Type]bool)) {
		known.refused = fmt.Errorf("%w: type %v has more than %d pointers in a row", ErrValue, t, maxDepth)
	} else {
		known.dynamic = hasInterface(t, make(map[reflect.Type]bool))
	}
	r.Lock()
	defer r.Unlock()
	if other := r.named[name]; known.refused == nil && other != nil && other != t {
		known.refused = fmt.Errorf("%w: another type is registered under the name of %v", ErrValue, t)
	}
	r.known[t] = known
	if known.refused == nil {
		r.named[name] = t
	}
}

// endless reports whether t contains more than [maxDepth] pointers in a row. The CBOR
// library follows the pointers of a type like "type T *T" for ever.
func endless(t reflect.Type, seen map[reflect.Type]bool) bool {
	for pointers := 0; t.Kind() == reflect.Pointer; t = t.Elem() {
		if pointers++; pointers > maxDepth {
			return true
		}
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return endless(t.Elem(), seen)
	case reflect.Map:
		return endless(t.Key(), seen) || endless(t.Elem(), seen)
	case reflect.Struct: // the library looks at unexported and skipped fields too
		for f := range t.Fields() {
			if endless(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// typeName returns the full name of a type. It includes the package, and it is the same
// in every build of a program.
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

func registered(t reflect.Type) (r registration, ok bool) {
	registry.RLock()
	defer registry.RUnlock()
	r, ok = registry.known[t]
	return r, ok
}

func registeredType(name string) reflect.Type {
	registry.RLock()
	defer registry.RUnlock()
	return registry.named[name]
}

// maxDepth is how deep structs, slices, arrays and maps may be nested, for encoding and
// decoding.
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

// encodeRegistered returns the kind, name and CBOR of a value of a registered type. It
// decodes the bytes and compares the result, so a value with a field that CBOR omits is
// refused now, and the field is not lost later. A value inside another one is checked
// together with that one.
func encodeRegistered(value any, inside bool) ([]byte, error) {
	t := reflect.TypeOf(value)
	if t == nil {
		return nil, fmt.Errorf("%w: nil", ErrValue)
	}
	known, ok := registered(t)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: type %v is not registered", ErrValue, t)
	case known.refused != nil:
		return nil, known.refused
	}
	if !inside {
		w := walk{left: maxVisits}
		if err := w.bounded(reflect.ValueOf(value), 0); err != nil {
			return nil, fmt.Errorf("%w: type %v", err, t)
		}
	}
	k, bare, dynamic := kindRegistered, value, []byte(nil)
	if known.dynamic {
		v := reflect.New(t).Elem()
		v.Set(reflect.ValueOf(value))
		var err error
		if dynamic, err = extract(v); err != nil {
			return nil, err
		}
		bare = v.Interface()
	}
	if dynamic != nil {
		k = kindDynamic
	}
	head := binary.AppendUvarint([]byte{byte(k)}, uint64(len(known.name)))
	head = append(head, known.name...)
	if dynamic != nil {
		head = binary.AppendUvarint(head, uint64(len(dynamic)))
		head = append(head, dynamic...)
	}
	buf := bytes.NewBuffer(head)
	if err := encMode.NewEncoder(buf).Encode(bare); err != nil {
		return nil, fmt.Errorf("%w: type %v has no encoding", ErrValue, t)
	}
	encoded := buf.Bytes()
	switch {
	case len(encoded) > MaxValue:
		return nil, errValue
	case inside:
		return encoded, nil
	}
	back, err := decodeType(t, string(dynamic), encoded[len(head):], nil)
	if err != nil || !equal(reflect.ValueOf(value), back) {
		return nil, fmt.Errorf("%w: type %v: this value would not come back the same", ErrValue, t)
	}
	return encoded, nil
}

func decodeRegistered(k kind, payload string, r *restorer) (any, error) {
	name, encoded, ok := cut(payload)
	var dynamic string
	if ok && k == kindDynamic {
		dynamic, encoded, ok = cut(encoded)
	}
	if !ok {
		return nil, errMalformed
	}
	t := registeredType(name)
	if t == nil {
		return nil, fmt.Errorf("%w: stored under a type name that is not registered", ErrValue)
	}
	back, err := decodeType(t, dynamic, []byte(encoded), r)
	if err != nil {
		return nil, err
	}
	return back.Interface(), nil
}

// decodeType returns a value of type t from its two parts.
func decodeType(t reflect.Type, dynamic string, encoded []byte, r *restorer) (reflect.Value, error) {
	if r != nil {
		if r.memory -= int(t.Size()); r.memory < 0 {
			return reflect.Value{}, errMalformed
		}
	}
	back := reflect.New(t)
	if err := decMode.Unmarshal(encoded, back.Interface()); err != nil {
		return reflect.Value{}, fmt.Errorf("%w: stored bytes do not fit type %v", ErrValue, t)
	}
	if dynamic == "" {
		return back.Elem(), nil
	}
	if r == nil {
		r = &restorer{levels: maxDepth, memory: maxTypes}
	}
	if r.levels--; r.levels < 0 {
		return reflect.Value{}, errDeep
	}
	if err := r.restore(back.Elem(), dynamic); err != nil {
		return reflect.Value{}, err
	}
	r.levels++
	return back.Elem(), nil
}
