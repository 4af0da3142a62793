package values

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// CBOR does not record which Go type an interface holds. A value with interfaces is
// therefore stored in two parts: its CBOR with every interface nil, and its dynamic
// part, which lists the contents of the interfaces. The dynamic part of an interface is
// the encoded value. A pointer has the dynamic part of the variable it points to. The
// dynamic part of a struct, map, slice or array is markElements and the elements that
// have a dynamic part. Each element is stored as the length of its name, the name, the
// length of its dynamic part, and the dynamic part.

// markElements marks a list of elements. It is not a kind, so it cannot begin an encoded
// value.
const markElements = byte(kindInvalid)

// maxTypes limits the memory of the types that stored bytes name inside a value. A short
// name may stand for a large array.
const maxTypes = 16 << 20

// hasInterface reports whether extract may find an interface in a value of type t.
func hasInterface(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || hasCodec(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hasInterface(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if _, ok := fieldName(f); ok && hasInterface(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// hasCodec reports whether a type encodes itself and everything in its values.
func hasCodec(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[cbor.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.BinaryMarshaler]())
}

// fieldName returns the name of a field in the CBOR. The name is "" for an embedded
// struct if the CBOR lists its fields as fields of the outer struct. ok is false if the
// CBOR omits the field.
func fieldName(f reflect.StructField) (name string, ok bool) {
	tag := f.Tag.Get("cbor")
	if tag == "" {
		tag = f.Tag.Get("json")
	}
	t := f.Type
	if f.Anonymous && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	embedded := f.Anonymous && t.Kind() == reflect.Struct
	if tag == "-" || !embedded && !f.IsExported() {
		return "", false
	}
	name, _, _ = strings.Cut(tag, ",")
	if name == "" && !embedded {
		name = f.Name
	}
	return name, true
}

// keyName returns the name of an element of a map.
func keyName(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	name, err := encMode.Marshal(key.Interface())
	if err != nil {
		return "", fmt.Errorf("%w: type %v has no encoding", ErrValue, key.Type())
	}
	return string(name), nil
}

// keyNamed returns the key with this name.
func keyNamed(t reflect.Type, name string) (reflect.Value, error) {
	key := reflect.New(t)
	if t.Kind() == reflect.String {
		key.Elem().SetString(name)
	} else if decMode.Unmarshal([]byte(name), key.Interface()) != nil || !key.Elem().Comparable() {
		return key, errFit
	}
	return key.Elem(), nil
}

// extract sets every interface in v to nil and returns the dynamic part of v, or nil if
// there is none. It copies memory that v shares with the caller's value before it
// changes it.
func extract(v reflect.Value) ([]byte, error) {
	t := v.Type()
	if t.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, nil
		}
		held := v.Elem().Interface()
		v.SetZero()
		if encoded, err := appendBasic(nil, held); err != nil || encoded != nil {
			return encoded, err
		}
		return encodeRegistered(held, true)
	}
	if hasCodec(t) {
		return nil, nil
	}
	list := []byte{markElements}
	var err error
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() || !v.CanSet() {
			return nil, nil
		}
		copied := reflect.New(t.Elem())
		copied.Elem().Set(v.Elem())
		v.Set(copied)
		return extract(copied.Elem())
	case reflect.Struct:
		list, err = extractFields(list, v)
	case reflect.Slice, reflect.Array:
		list, err = extractItems(list, v)
	case reflect.Map:
		list, err = extractEntries(list, v)
	}
	if err != nil || len(list) == 1 {
		return nil, err
	}
	return list, nil
}

func extractFields(list []byte, v reflect.Value) ([]byte, error) {
	for i := range v.NumField() {
		name, ok := fieldName(v.Type().Field(i))
		if !ok {
			continue
		}
		part, err := extract(v.Field(i))
		if err != nil {
			return nil, err
		}
		if name == "" && part != nil {
			list = append(list, part[1:]...)
		} else if list, err = appendElement(list, name, part); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func extractItems(list []byte, v reflect.Value) ([]byte, error) {
	if v.Len() == 0 || flat(v.Type().Elem()) {
		return list, nil
	}
	if v.Kind() == reflect.Slice {
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(copied, v)
		v.Set(copied)
	}
	var index [binary.MaxVarintLen64]byte
	for i := range v.Len() {
		part, err := extract(v.Index(i))
		if err != nil {
			return nil, err
		}
		n := binary.PutUvarint(index[:], uint64(i))
		if list, err = appendElement(list, string(index[:n]), part); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func extractEntries(list []byte, v reflect.Value) ([]byte, error) {
	if v.Len() == 0 || flat(v.Type().Elem()) {
		return list, nil
	}
	type entry struct {
		name       string
		key, value reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		name, err := keyName(it.Key())
		if err != nil {
			return nil, err
		}
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(it.Value())
		entries = append(entries, entry{name, it.Key(), value})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	copied := reflect.MakeMapWithSize(v.Type(), v.Len())
	for _, e := range entries {
		part, err := extract(e.value)
		if err != nil {
			return nil, err
		}
		if list, err = appendElement(list, e.name, part); err != nil {
			return nil, err
		}
		copied.SetMapIndex(e.key, e.value)
	}
	v.Set(copied)
	return list, nil
}

func appendElement(list []byte, name string, part []byte) ([]byte, error) {
	if part == nil {
		return list, nil
	}
	if len(list)+len(name)+len(part) > MaxValue {
		return nil, errValue
	}
	list = binary.AppendUvarint(list, uint64(len(name)))
	list = append(list, name...)
	list = binary.AppendUvarint(list, uint64(len(part)))
	return append(list, part...), nil
}

// A restorer sets interfaces to their values again. Its limits protect against hostile
// bytes.
type restorer struct {
	levels int // how many more levels of values may be nested
	memory int // how many more bytes the named types may take
}

// restore does the reverse of extract.
func (r *restorer) restore(v reflect.Value, part string) error {
	if part == "" {
		return errMalformed
	}
	if part[0] != markElements {
		value, err := decode(part, r)
		if err != nil {
			return err
		}
		return assign(v, reflect.ValueOf(value))
	}
	for list := part[1:]; list != ""; {
		name, rest, ok := cut(list)
		if !ok {
			return errMalformed
		}
		if part, list, ok = cut(rest); !ok {
			return errMalformed
		}
		if err := r.restoreElement(reflect.Indirect(v), name, part); err != nil {
			return err
		}
	}
	return nil
}

// assign sets v, or the variable that v points to, to a value. It allocates the variable
// if needed, because CBOR encodes a pointer to a nil interface as a nil pointer.
func assign(v, value reflect.Value) error {
	switch {
	case !v.CanSet():
		return errFit
	case value.Type().AssignableTo(v.Type()):
		v.Set(value)
		return nil
	case v.Kind() != reflect.Pointer:
		return errFit
	case v.IsNil():
		v.Set(reflect.New(v.Type().Elem()))
	}
	return assign(v.Elem(), value)
}

func (r *restorer) restoreElement(v reflect.Value, name, part string) error {
	switch v.Kind() {
	case reflect.Pointer:
		return r.restoreElement(v.Elem(), name, part)
	case reflect.Struct:
		if f := fieldNamed(v, name); f.IsValid() {
			return r.restore(f, part)
		}
		return nil // the type no longer has this field
	case reflect.Slice, reflect.Array:
		if i, n := uvarint(name); n != 0 && n == len(name) && i < uint64(v.Len()) { //nolint:gosec // never negative
			return r.restore(v.Index(int(i)), part) //nolint:gosec // less than the length
		}
	case reflect.Map:
		key, err := keyNamed(v.Type().Key(), name)
		if err != nil {
			return err
		}
		if old := v.MapIndex(key); old.IsValid() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(old)
			err = r.restore(value, part)
			v.SetMapIndex(key, value)
			return err
		}
	}
	return errFit
}

// fieldNamed returns the struct field whose [fieldName] is name.
func fieldNamed(v reflect.Value, name string) reflect.Value {
	if v = reflect.Indirect(v); !v.IsValid() {
		return v
	}
	var found reflect.Value
	for i := range v.NumField() {
		switch n, ok := fieldName(v.Type().Field(i)); {
		case !ok:
		case n == "" && !found.IsValid():
			found = fieldNamed(v.Field(i), name)
		case n == name && n != "":
			return v.Field(i)
		}
	}
	return found
}
