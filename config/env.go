package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

const (
	// prefix begins the name of every variable.
	prefix = "SESSION_"

	// fileSuffix ends the name of the variable that holds the path of a secret's file.
	fileSuffix = "_FILE"

	// foreign is a variable of the X session manager: desktops set it for all programs.
	foreign = "SESSION_MANAGER"
)

// FromEnv reads the environment variables whose names begin with SESSION_. A variable that
// is set to the empty text counts as unset. SESSION_STORE, SESSION_STORE_PASSWORD and
// SESSION_KEYS can instead be in files, as containers hand out secrets:
// SESSION_KEYS_FILE=/run/secrets/keys. Line breaks at the end of such a file are ignored.
//
// Errors name the variable and contain no value: an unknown variable (SESSION_MANAGER of
// the X session manager is ignored), a malformed value, a file that cannot be read or is
// empty, a secret that is set in both ways, and everything that [Config.Check] finds.
func FromEnv() (Config, error) { return fromEnv(os.Environ()) }

func fromEnv(environ []string) (Config, error) {
	var c Config
	secrets := make(map[string]bool)
	var known []string
	for _, f := range fields(&c) {
		known = append(known, inEnv(f.path))
		if f.secret() {
			known = append(known, inEnv(f.path)+fileSuffix)
			secrets[inEnv(f.path)] = true
		}
	}
	set := make(map[string]string)
	var errs []error
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case !strings.HasPrefix(name, prefix) || name == foreign:
		case !slices.Contains(known, name):
			errs = append(errs, fmt.Errorf("config: %s is unknown%s", name, meant(name, known)))
		case value != "":
			set[name] = value
		}
	}
	for _, name := range known {
		value, ok := set[name]
		if !ok {
			continue
		}
		into := name
		if of, isFile := strings.CutSuffix(name, fileSuffix); isFile && secrets[of] {
			if set[of] != "" {
				errs = append(errs, fmt.Errorf("config: %s and %s are both set", of, name))
				continue
			}
			text, err := secretFile(value)
			if err != nil {
				errs = append(errs, fmt.Errorf("config: %s: %w", name, err))
				continue
			}
			into, value = of, text
		}
		// One variable at a time, because the library's errors do not name it.
		err := env.ParseWithOptions(&c, env.Options{Environment: map[string]string{into: value}, Prefix: prefix})
		if err != nil {
			errs = append(errs, fmt.Errorf("config: %s: %w", name, reason(err)))
		}
	}
	if errs == nil {
		errs = append(errs, c.check(inEnv))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	return c, nil
}

var errEmpty = errors.New("the file is empty")

// secretFile reads a secret from a file. No error contains the path: an operator may have
// put the secret there.
func secretFile(path string) (string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return "", p.Err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if err == nil && text == "" {
		err = errEmpty
	}
	return text, err
}

// reason is what an error of the library says, without the value that it may quote.
func reason(err error) error {
	if p, ok := errors.AsType[env.ParseError](err); ok { // which has no Unwrap
		err = p.Err
	}
	var v valueError
	var n *strconv.NumError
	switch {
	case errors.As(err, &v):
		return v
	case errors.As(err, &n) && n.Func == "ParseBool":
		return errBool
	case errors.As(err, &n):
		return errInt
	}
	return errors.New("malformed")
}
