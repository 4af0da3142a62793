package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// prefix is what all variables begin with.
const prefix = "SESSION_"

// foreign begins with the prefix and is not ours: desktops with X11 set it for every
// program.
const foreign = "SESSION_MANAGER"

// fileSuffix makes of a variable the one that names a file with the value.
const fileSuffix = "_FILE"

// FromEnv reads the variables whose names begin with SESSION_; docs/configuration.md has
// them all. A variable that is set to nothing is as one that is not set. The secrets
// (SESSION_STORE, SESSION_STORE_PASSWORD, SESSION_KEYS) may be in files instead, as
// containers get them: SESSION_KEYS_FILE=/run/secrets/keys.
//
// An unknown variable is an error, and so is what [Config.Check] finds. Each error names
// the variable.
func FromEnv() (Config, error) { return fromEnv(os.Environ()) }

func fromEnv(environ []string) (Config, error) {
	known := variables(reflect.TypeFor[Config](), prefix)
	set, errs := make(map[string]string), []error(nil)
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, prefix) || name == foreign || value == "" {
			continue
		}
		set[name] = value
		if of, file := strings.CutSuffix(name, fileSuffix); known[name] == nil && (!file || known[of] == nil || !secret(known[of])) {
			errs = append(errs, fmt.Errorf("config: %s is no variable of this module; the nearest is %s", name, nearest(name, known)))
		}
	}
	for name, field := range known {
		if path := set[name+fileSuffix]; path != "" && secret(field) {
			value, err := os.ReadFile(path) //nolint:gosec // the operator says which
			text := strings.TrimRight(string(value), "\r\n")
			switch {
			case set[name] != "":
				err = errors.New("only one of the two can be right")
			case err == nil && text == "":
				err = errors.New("the file is empty")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("config: %s and %s%s: %w", name, name, fileSuffix, err))
			}
			set[name] = text
		}
	}
	var c Config
	err := env.ParseWithOptions(&c, env.Options{Environment: set, Prefix: prefix})
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, one := range all.Errors {
			errs = append(errs, named(one, known))
		}
	} else if err != nil {
		errs = append(errs, errors.New("config: the variables cannot be read"))
	}
	if errs == nil {
		errs = append(errs, c.Check())
	}
	return c, errors.Join(errs...)
}

// variables returns the fields of a struct by the names of their variables.
func variables(t reflect.Type, prefix string) map[string]*reflect.StructField {
	all := make(map[string]*reflect.StructField)
	for f := range t.Fields() {
		if inner, ok := f.Tag.Lookup("envPrefix"); ok {
			maps.Copy(all, variables(f.Type, prefix+inner))
		} else {
			all[prefix+f.Tag.Get("env")] = &f
		}
	}
	return all
}

func secret(f *reflect.StructField) bool { return f.Type == reflect.TypeFor[Secret]() }

// named is an error about a field, with the name of its variable. What the library says
// would name the field, and might quote a secret.
func named(err error, known map[string]*reflect.StructField) error {
	parse, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return errors.New("config: the variables cannot be read")
	}
	for name, field := range known {
		if field.Name == parse.Name {
			return fmt.Errorf("config: %s: %w", name, parse.Err)
		}
	}
	return fmt.Errorf("config: %s cannot be read", parse.Name)
}

// nearest is the known name that takes the fewest changes.
func nearest(name string, known map[string]*reflect.StructField) string {
	var names []string
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	return slices.MinFunc(names, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
}

// distance is how many characters have to be added, taken out or replaced (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
