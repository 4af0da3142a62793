package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// FromFile reads a file. decode is the decoder of its format, such as Unmarshal of a
// package for YAML or TOML; nil: that of encoding/json. The names are those of
// docs/configuration.md. Variables of the environment do not count.
//
// A file that is not there is an error that matches [io/fs.ErrNotExist]. An empty file is
// an error, and so are fields that are unknown, also where decode passes over them, and
// what [Config.Check] finds.
func FromFile(path string, decode func(data []byte, into any) error) (Config, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the caller says which
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Config{}, fmt.Errorf("config: %s is empty", path)
	}
	if decode == nil {
		decode = json.Unmarshal
	}
	var c Config
	var all map[string]any
	err = decode(data, &c)
	if err == nil {
		err = decode(data, &all)
	}
	if err != nil {
		return Config{}, fmt.Errorf("config: %s: %s", path, unquoted(err, data))
	}
	if names := unknown(all, reflect.TypeFor[Config](), ""); len(names) > 0 {
		return Config{}, fmt.Errorf("config: %s: unknown: %s", path, strings.Join(names, ", "))
	}
	if err := c.Check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// unquoted is the text of an error up to where it quotes the file, which some decoders do
// at length: any line may be a secret.
func unquoted(err error, data []byte) string {
	text := err.Error()
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if _, value, ok := strings.Cut(line, " "); ok && len(value) > 3 {
			line = value // as far as possible without the name
		}
		if i := strings.Index(text, line); i > 0 && len(line) > 3 {
			text = text[:i]
		}
	}
	return text
}

// unknown returns the names in a file that no field has.
func unknown(all map[string]any, t reflect.Type, above string) (names []string) {
	fields := make(map[string]reflect.Type)
	for f := range t.Fields() {
		fields[f.Tag.Get("json")] = f.Type
	}
	for name, value := range all {
		field, ok := fields[name]
		inner, nested := value.(map[string]any)
		switch {
		case !ok:
			names = append(names, above+name)
		case nested && field.Kind() == reflect.Struct:
			names = append(names, unknown(inner, field, above+name+".")...)
		}
	}
	slices.Sort(names)
	return names
}
