package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/mist-contrib/session/internal/driver"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// Check reports all that is wrong, with the names that the fields have in a file. Call it
// after decoding; [FromEnv], [FromFile] and [Config.Manager] do so themselves. It opens no
// store: what is wrong with a URL behind its scheme is an error of Manager.
func (c Config) Check() error { return c.check(inFile) }

// inFile is the name of a field in a file.
func inFile(path string) string { return path }

// inBoth is for errors that do not know where the Config comes from.
func inBoth(path string) string { return inEnv(path) + " (" + path + ")" }

// inEnv is the name of the field's variable.
func inEnv(path string) string {
	return prefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(path))
}

func (c Config) check(name func(path string) string) error {
	var errs []error
	wrongIf := func(wrong bool, format string, paths ...any) {
		if wrong {
			for i := range paths {
				paths[i] = name(paths[i].(string)) //nolint:forcetypeassert // all callers are below
			}
			errs = append(errs, fmt.Errorf("config: "+format, paths...))
		}
	}
	u := c.url()
	inMemory, isSealed := u.scheme == memoryScheme, u.scheme == sealedScheme
	known := driver.Lookup(u.scheme) != nil

	wrongIf(u.scheme == "", "%s: want a URL, such as memory: or redis://host:6379", "store")
	wrongIf(u.scheme != "" && !known, "%s: no store has the scheme \""+u.scheme+"\""+packages(u.scheme), "store")
	wrongIf((inMemory || isSealed) && u.with("") != u.scheme+":", "%s: nothing may follow "+u.scheme+":", "store")
	if c.StorePassword.reveal() != "" && known {
		wrongIf(!u.slashes, "%s: the URL of %s has no place for a password", "store-password", "store")
		wrongIf(u.password != "", "%s: the URL of %s has a password already", "store-password", "store")
	}
	wrongIf(c.Prefix != "" && (inMemory || isSealed), "%s: the %s "+u.scheme+": has no keys to prefix", "prefix", "store")
	wrongIf(c.MaxSessions != 0 && known && !inMemory, "%s: only the %s memory: has this limit", "max-sessions", "store")
	if c.Keys.reveal() != "" {
		wrongIf(known && !isSealed, "%s: only the %s sealed: has keys", "keys", "store")
		_, err := sealed.ParseKeys(c.Keys.reveal())
		wrongIf(err != nil, "%s: "+detail(err), "keys")
	}
	wrongIf(c.Keys.reveal() == "" && isSealed, "%s: the %s sealed: needs a key", "keys", "store")
	wrongIf(c.MaxUserSessions != 0 && isSealed, "%s: the %s sealed: cannot count the sessions of a user", "max-user-sessions", "store")
	wrongIf(c.RotateGrace.Duration != 0 && isSealed, "%s: the %s sealed: keeps no list of old tokens", "rotate-grace", "store")
	wrongIf(c.DeviceBound.Duration != 0 && isSealed, "%s: the %s sealed: cannot bind sessions to a device", "device-bound", "store")
	wrongIf(c.EndOldest && c.MaxUserSessions == 0, "%s: without %s there is no limit", "end-oldest", "max-user-sessions")
	wrongIf(isFalse(c.Cookie.HTTPOnly), "%s: the cookie is always http-only, so that no script can read it", "cookie.http-only")

	// The rest are rules of the packages that do the work. This store takes the place of
	// the one that is not opened yet.
	m := c.manager(&memory.Store{
		IdleTimeout: c.IdleTimeout.Duration, AbsoluteTimeout: c.AbsoluteTimeout.Duration, MaxSessions: c.MaxSessions,
	})
	if err := m.Check(); err != nil {
		errs = append(errs, errors.New("config: "+renamed(detail(err), name)))
	}
	return errors.Join(errs...)
}

// packages says what a program imports for a scheme that no store has registered.
func packages(scheme string) string {
	switch first, _, _ := strings.Cut(scheme, "+"); first {
	case "redis", "rediss", "unix":
		return `; the program has to import _ "github.com/mist-contrib/session/redis"`
	case "postgres", "postgresql":
		return `; the program has to import _ "github.com/mist-contrib/session/sql/postgres"`
	case "mysql", "mariadb":
		return `; the program has to import _ "github.com/mist-contrib/session/sql/mysql"`
	case "sqlite":
		return `; the program has to import _ "github.com/mist-contrib/session/sql/sqlite"`
	}
	return "; the program has to import the package of its store"
}

// detail is the text of an error without the name of its package in front.
func detail(err error) string {
	if err == nil {
		return ""
	}
	_, text, _ := strings.Cut(err.Error(), ": ")
	return text
}

// renamed replaces the names of the fields of the Manager and its parts by names that an
// operator knows.
func renamed(text string, name func(path string) string) string {
	paths := map[string]string{"Insecure": name("cookie.secure") + "=false"}
	words := []string{"Insecure"}
	for _, f := range fields(&Config{}) {
		if f.goName != "Secure" && f.goName != "HTTPOnly" { // as words they are attributes of the cookie
			paths[f.goName] = name(f.path)
			words = append(words, f.goName)
		}
	}
	word := regexp.MustCompile(`\b(?:Manager\.|Cookie\.)?(` + strings.Join(words, "|") + `)\b`)
	return word.ReplaceAllStringFunc(text, func(s string) string { return paths[s[strings.LastIndexByte(s, '.')+1:]] })
}
