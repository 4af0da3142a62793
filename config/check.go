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

// Check reports all mistakes, with the names that the fields have in a file. Call it after
// decoding; [FromEnv], [FromFile] and [Config.Manager] call it themselves. Check opens no
// store, so it reads only the scheme of the store's URL; Manager checks the rest.
func (c Config) Check() error { return c.check(inFile) }

// inFile returns a field's name in a file.
func inFile(path string) string { return path }

// inBoth returns both names of a field, for errors about a Config of unknown origin.
func inBoth(path string) string { return inEnv(path) + " (" + path + ")" }

// inEnv returns the name of a field's variable.
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
	wrongIf((inMemory || isSealed) && u.text("") != u.scheme+":", "%s: nothing may follow "+u.scheme+":", "store")
	if c.StorePassword.reveal() != "" && known {
		wrongIf(!u.slashes, "%s: the URL of %s has no place for a password", "store-password", "store")
		wrongIf(u.password != "", "%s: the URL of %s already has a password", "store-password", "store")
	}
	wrongIf(c.Prefix != "" && (inMemory || isSealed), "%s: has no effect, because %s is "+u.scheme+":", "prefix", "store")
	wrongIf(c.MaxSessions != 0 && known && !inMemory, "%s: applies only if %s is memory:", "max-sessions", "store")
	if c.Keys.reveal() != "" {
		wrongIf(known && !isSealed, "%s: applies only if %s is sealed:", "keys", "store")
		_, err := sealed.ParseKeys(c.Keys.reveal())
		wrongIf(err != nil, "%s: "+detail(err), "keys")
	}
	wrongIf(c.Keys.reveal() == "" && isSealed, "%s: must be set, because %s is sealed:", "keys", "store")
	wrongIf(c.Purpose != "" && known && !isSealed, "%s: applies only if %s is sealed:", "purpose", "store")
	wrongIf(c.OpTimeout.Duration < 0, "%s: must not be negative", "op-timeout")
	wrongIf(c.OpTimeout.Duration != 0 && (inMemory || isSealed), "%s: has no effect, because %s is "+u.scheme+":", "op-timeout", "store")
	wrongIf(c.WaitReplicas < 0, "%s: must not be negative", "wait-replicas")
	wrongIf(c.WaitReplicas != 0 && known && !isRedis(u.scheme), "%s: applies only if %s is Redis", "wait-replicas", "store")
	wrongIf(c.MaxUserSessions != 0 && isSealed, "%s: must not be set, because %s is sealed: and cannot count the sessions of a user", "max-user-sessions", "store")
	wrongIf(c.RotateGrace.Duration != 0 && isSealed, "%s: must not be set, because %s is sealed: and keeps no list of old tokens", "rotate-grace", "store")
	wrongIf(c.DeviceBound.Duration != 0 && isSealed, "%s: must not be set, because %s is sealed: and cannot bind sessions to a device", "device-bound", "store")
	wrongIf(c.EndOldest && c.MaxUserSessions == 0, "%s: has no effect without %s", "end-oldest", "max-user-sessions")
	wrongIf(isFalse(c.Cookie.HTTPOnly), "%s: must not be false, or scripts could read the cookie", "cookie.http-only")

	// The Manager and its parts check the rest. The memory store stands in for the real one,
	// which is not open yet.
	m := c.manager(&memory.Store{
		IdleTimeout: c.IdleTimeout.Duration, AbsoluteTimeout: c.AbsoluteTimeout.Duration, MaxSessions: c.MaxSessions,
	})
	if err := m.Check(); err != nil {
		errs = append(errs, errors.New("config: "+renamed(detail(err), name)))
	}
	return errors.Join(errs...)
}

// isRedis reports whether a scheme belongs to package redis.
func isRedis(scheme string) bool {
	first, _, _ := strings.Cut(scheme, "+")
	return first == "redis" || first == "rediss" || first == "unix"
}

// packages names the package that a program must import for an unregistered scheme.
func packages(scheme string) string {
	if isRedis(scheme) {
		return `; the program must import _ "github.com/mist-contrib/session/redis"`
	}
	switch scheme {
	case "postgres", "postgresql":
		return `; the program must import _ "github.com/mist-contrib/session/sql/postgres"`
	case "mysql", "mariadb":
		return `; the program must import _ "github.com/mist-contrib/session/sql/mysql"`
	case "sqlite":
		return `; the program must import _ "github.com/mist-contrib/session/sql/sqlite"`
	}
	return "; the program must import the package of its store"
}

// detail returns the text of an error without its package prefix.
func detail(err error) string {
	if err == nil {
		return ""
	}
	_, text, _ := strings.Cut(err.Error(), ": ")
	return text
}

// renamed replaces the Go names of fields by the names that an operator knows.
func renamed(text string, name func(path string) string) string {
	paths := map[string]string{"Insecure": name("cookie.secure") + "=false"}
	words := []string{"Insecure"}
	for _, f := range fields(&Config{}) {
		if f.goName != "Secure" && f.goName != "HTTPOnly" { // in a text these are attributes of the cookie
			paths[f.goName] = name(f.path)
			words = append(words, f.goName)
		}
	}
	word := regexp.MustCompile(`\b(?:Manager\.|Cookie\.)?(` + strings.Join(words, "|") + `)\b`)
	return word.ReplaceAllStringFunc(text, func(s string) string { return paths[s[strings.LastIndexByte(s, '.')+1:]] })
}
