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

	// xSessionManager is a variable of the X Window System: desktops set it for all programs.
	xSessionManager = "SESSION_MANAGER"
)

// FromEnv reads the environment variables whose names begin with SESSION_. An empty variable
// counts as unset. The secrets SESSION_STORE, SESSION_STORE_PASSWORD and SESSION_KEYS can
// also be read from files, as containers provide them: SESSION_KEYS_FILE=/run/secrets/keys.
// Line breaks at the end of such a file are ignored.
//
// FromEnv fails for an unknown variable, a malformed value, a secret file that is empty or
// cannot be read, a secret that is set in both ways, and for everything that [Config.Check]
// reports. It ignores SESSION_MANAGER, which the X Window System sets. Errors name the variable
// and contain no value.
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
		case !strings.HasPrefix(name, prefix) || name == xSessionManager:
		case !slices.Contains(known, name):
			errs = append(errs, fmt.Errorf("config: %s is unknown%s", name, didYouMean(name, known)))
		case value != "":
			set[name] = value
		}
	}
	for _, name := range known {
		value, ok := set[name]
		if !ok {
			continue
		}
		field := name
		if secret, isFile := strings.CutSuffix(name, fileSuffix); isFile && secrets[secret] {
			if set[secret] != "" {
				errs = append(errs, fmt.Errorf("config: %s and %s are both set", secret, name))
				continue
			}
			text, err := secretFile(value)
			if err != nil {
				errs = append(errs, fmt.Errorf("config: %s: %w", name, err))
				continue
			}
			field, value = secret, text
		}
		// One variable at a time, because the library's errors do not name it.
		err := env.ParseWithOptions(&c, env.Options{Environment: map[string]string{field: value}, Prefix: prefix})
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

// secretFile reads a secret from a file. No error contains the path, because an operator may
// have set the variable to the secret itself.
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

// reason returns the reason of the library's error, without the value that it may quote.
func reason(err error) error {
	if p, ok := errors.AsType[env.ParseError](err); ok { // it has no Unwrap
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
