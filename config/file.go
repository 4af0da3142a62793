package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FromFile reads a file, and no environment variable. decode decodes the file into a map, for
// example Unmarshal of a YAML or TOML package. Nil: [json.Unmarshal].
//
// FromFile fails for a file that sets nothing, an unknown field, a value of the wrong type (a
// number is no time), and for everything that [Config.Check] reports. If the file is
// missing, the error matches [io/fs.ErrNotExist]. Errors name the file and the field, contain
// no value, and are the same with every decoder. If decode fails, the error gives only the
// line, because decoders quote the file.
func FromFile(path string, decode func(data []byte, into any) error) (Config, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the program names the file
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if decode == nil {
		decode = json.Unmarshal
	}
	var all map[string]any
	if err := decode(data, &all); err != nil && strings.TrimSpace(string(data)) != "" {
		return Config{}, fmt.Errorf("config: %s%s: malformed", path, lineOf(err, data))
	}
	if len(all) == 0 {
		return Config{}, fmt.Errorf("config: %s: %w", path, errEmpty)
	}
	var c Config
	err = errors.Join(assign(reflect.ValueOf(&c).Elem(), all, "")...)
	if err == nil && reflect.ValueOf(c).IsZero() {
		err = errEmpty
	}
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return Config{}, fmt.Errorf("config: %s: %w", path, err)
	}
	return c, nil
}

// assign sets the fields of a struct to the values of a map. parent is the name of the
// struct in the file, with a dot.
func assign(into reflect.Value, all map[string]any, parent string) (errs []error) {
	known := make(map[string]reflect.Value)
	for f, value := range into.Fields() {
		known[f.Tag.Get("json")] = value
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f, ok := known[name]
		inner, isMap := all[name].(map[string]any)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s is unknown%s", parent+printable(name), didYouMean(name, slices.Sorted(maps.Keys(known)))))
		case all[name] == nil:
		case f.Type() == reflect.TypeFor[Cookie]() && isMap:
			errs = append(errs, assign(f, inner, name+".")...)
		default:
			if err := set(f, all[name]); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", parent+name, err))
			}
		}
	}
	return errs
}

func set(f reflect.Value, value any) error {
	text, isText := value.(string)
	yes, isBool := value.(bool)
	switch to := f.Addr().Interface().(type) {
	case *Secret:
		if isText {
			return to.UnmarshalText([]byte(text))
		}
		return errText
	case *Duration:
		return to.UnmarshalText([]byte(text))
	case *SameSite:
		return to.UnmarshalText([]byte(text))
	case *Former:
		if isText {
			return to.UnmarshalText([]byte(text))
		}
		return errFormer
	case *string:
		if !isText {
			return errText
		}
		*to = text
	case *bool:
		if !isBool {
			return errBool
		}
		*to = yes
	case **bool:
		if !isBool {
			return errBool
		}
		*to = &yes
	case *int:
		n, ok := wholeNumber(reflect.ValueOf(value))
		if !ok {
			return errInt
		}
		*to = n
	default:
		return errFields
	}
	return nil
}

// wholeNumber returns a number as an int. JSON has no integers, and each decoder uses its own
// types.
func wholeNumber(v reflect.Value) (int, bool) {
	var n float64 // it holds every int of 32 bits exactly
	switch {
	case v.CanInt():
		n = float64(v.Int())
	case v.CanUint():
		n = float64(v.Uint())
	case v.CanFloat():
		n = v.Float()
	default:
		return 0, false
	}
	return int(n), n == math.Trunc(n) && math.Abs(n) <= math.MaxInt32
}

// printable returns name if it looks like the name of a field. It could also be part of a
// secret that the decoder took for a name.
func printable(name string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`).MatchString(name) {
		return name
	}
	return "a name that is not printed"
}

// lineOf returns the line of a decoder's error as ":12", or nothing if the error has no line.
func lineOf(err error, data []byte) string {
	line := 0
	var syntax *json.SyntaxError
	var located interface{ Position() (row, column int) }
	switch {
	case errors.As(err, &syntax):
		line = 1 + strings.Count(string(data[:min(syntax.Offset, int64(len(data)))]), "\n")
	case errors.As(err, &located):
		line, _ = located.Position()
	default:
		if m := regexp.MustCompile(`(?:\bline |^\[)(\d+)`).FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
	}
	if line < 1 || line > 1+strings.Count(string(data), "\n") {
		return ""
	}
	return ":" + strconv.Itoa(line)
}
