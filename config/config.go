// Package config makes a Manager from environment variables, or from a file:
//
//	c, err := config.FromEnv()
//	if err != nil {
//		log.Fatal(err)
//	}
//	m, closer, err := c.Manager()
//
// So an operator changes the store, the cookie and the lifetimes without another build:
//
//	SESSION_STORE=redis://localhost:6379 SESSION_IDLE_TIMEOUT=1h ./app
//
// docs/configuration.md has the table of all variables. Stores are chosen by import, as
// with database/sql: memory: and sealed: are always there, and a program that imports
// _ "github.com/mist-contrib/session/redis" knows redis://. This package alone brings in no
// client of a database.
//
// An error names the variable, and the field of a file. It never holds a secret: the URL
// of a store, its password, a key. A Config that is printed, logged or encoded hides
// them, too.
package config

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/driver"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// A Config is what an operator decides. The zero value is a memory store and the safest
// cookie. It is for the usual decoders of JSON, YAML and TOML, by its tags; see [FromFile].
type Config struct {
	// Store is where sessions live: memory:, sealed:, or the URL of a store that the
	// program has imported. Empty: memory:.
	Store Secret `env:"STORE" json:"store" yaml:"store" toml:"store"`

	// StorePassword is the password of the URL, where it does not stand in it.
	StorePassword Secret `env:"STORE_PASSWORD" json:"store-password" yaml:"store-password" toml:"store-password"`

	// Keys are those of sealed:, as [sealed.ParseKeys] reads them.
	Keys Secret `env:"KEYS" json:"keys" yaml:"keys" toml:"keys"`

	// Prefix is what the store's keys begin with, where a server is shared.
	Prefix string `env:"PREFIX" json:"prefix" yaml:"prefix" toml:"prefix"`

	// IdleTimeout is how long after its last refresh a session ends. Zero: 30 minutes.
	IdleTimeout Duration `env:"IDLE_TIMEOUT" json:"idle-timeout" yaml:"idle-timeout" toml:"idle-timeout"`

	// AbsoluteTimeout is how long after its login a session ends, whatever happens. Zero:
	// 12 hours.
	AbsoluteTimeout Duration `env:"ABSOLUTE_TIMEOUT" json:"absolute-timeout" yaml:"absolute-timeout" toml:"absolute-timeout"`

	// MaxSessions is how many sessions memory: holds. Zero: no limit.
	MaxSessions int `env:"MAX_SESSIONS" json:"max-sessions" yaml:"max-sessions" toml:"max-sessions"`

	// Cookie is how the browser keeps the identifier.
	Cookie Cookie `envPrefix:"COOKIE_" json:"cookie" yaml:"cookie" toml:"cookie"`

	// RotateGrace, RefreshInterval, RenewAfter, MaxUserSessions and EndOldest are the
	// fields of [session.Manager] of these names.
	RotateGrace     Duration `env:"ROTATE_GRACE" json:"rotate-grace" yaml:"rotate-grace" toml:"rotate-grace"`
	RefreshInterval Duration `env:"REFRESH_INTERVAL" json:"refresh-interval" yaml:"refresh-interval" toml:"refresh-interval"`
	RenewAfter      Duration `env:"RENEW_AFTER" json:"renew-after" yaml:"renew-after" toml:"renew-after"`
	MaxUserSessions int      `env:"MAX_USER_SESSIONS" json:"max-user-sessions" yaml:"max-user-sessions" toml:"max-user-sessions"`
	EndOldest       bool     `env:"END_OLDEST" json:"end-oldest" yaml:"end-oldest" toml:"end-oldest"`
}

// A Cookie is what an operator decides about the cookie, see [cookie.Propagator].
type Cookie struct {
	Name        string   `env:"NAME" json:"name" yaml:"name" toml:"name"`
	Path        string   `env:"PATH" json:"path" yaml:"path" toml:"path"`
	Domain      string   `env:"DOMAIN" json:"domain" yaml:"domain" toml:"domain"`
	SameSite    SameSite `env:"SAME_SITE" json:"same-site" yaml:"same-site" toml:"same-site"`
	MaxAge      Duration `env:"MAX_AGE" json:"max-age" yaml:"max-age" toml:"max-age"`
	Partitioned bool     `env:"PARTITIONED" json:"partitioned" yaml:"partitioned" toml:"partitioned"`

	// Secure is false for plain http, in development only. Nil: true.
	Secure *bool `env:"SECURE" json:"secure" yaml:"secure" toml:"secure"`

	// HTTPOnly is there for those who look for it. False is an error: a script could
	// read the cookie. Nil: true.
	HTTPOnly *bool `env:"HTTP_ONLY" json:"http-only" yaml:"http-only" toml:"http-only"`
}

const (
	memoryScheme = "memory"
	sealedScheme = "sealed"
)

// Options are what an operator says of a store, for [Register].
type Options = driver.Options

// Register makes a store known under schemes, for authors of stores; call it from init, as
// a driver of database/sql does. open returns the store, and what has to be closed with
// it, or nil; none of its errors may hold the URL. Register panics if a scheme is taken.
func Register(open func(o Options) (session.Store, io.Closer, error), schemes ...string) {
	for _, scheme := range schemes {
		if scheme == memoryScheme || scheme == sealedScheme {
			panic("config: store for " + scheme + ": registered twice")
		}
	}
	driver.Register(open, schemes...)
}

// Check reports what is wrong, all of it. It opens nothing.
func (c Config) Check() error {
	scheme := c.scheme()
	_, known := driver.Of(scheme)
	_, _, lifetimes := lifetime.Of(time.Duration(c.IdleTimeout), time.Duration(c.AbsoluteTimeout))
	user, _, _ := c.user()
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf("config: "+format, args...))
		}
	}
	memoryStore, sealedStore := scheme == memoryScheme, scheme == sealedScheme
	switch {
	case memoryStore || sealedStore:
		wrong(c.Store != "" && string(c.Store) != scheme+":", "SESSION_STORE (store): nothing may come behind %s:", scheme)
		wrong(c.StorePassword != "", "SESSION_STORE_PASSWORD (store-password) with a SESSION_STORE (store) that has none")
		wrong(c.Prefix != "", "SESSION_PREFIX (prefix) with a SESSION_STORE (store) that shares its keys with nobody")
	case scheme == "":
		wrong(true, "SESSION_STORE (store) is no URL, such as redis://host:6379 or memory:")
	case !known:
		wrong(true, "SESSION_STORE (store): no store for %q; %s", scheme, hint(scheme))
	default:
		wrong(strings.Contains(user, ":") && c.StorePassword != "", "SESSION_STORE_PASSWORD (store-password) and a password in SESSION_STORE (store): only one can be right")
	}
	wrong(lifetimes != nil, "SESSION_IDLE_TIMEOUT (idle-timeout), SESSION_ABSOLUTE_TIMEOUT (absolute-timeout): %w", lifetimes)
	wrong(c.MaxSessions < 0, "SESSION_MAX_SESSIONS (max-sessions) is negative")
	wrong(c.MaxSessions != 0 && !memoryStore, "SESSION_MAX_SESSIONS (max-sessions) is for memory: only, SESSION_STORE (store) is another")
	wrong(c.MaxUserSessions < 0, "SESSION_MAX_USER_SESSIONS (max-user-sessions) is negative")
	wrong(c.MaxUserSessions != 0 && sealedStore, "SESSION_MAX_USER_SESSIONS (max-user-sessions) with sealed: in SESSION_STORE (store), which cannot count sessions")
	wrong(c.EndOldest && c.MaxUserSessions == 0, "SESSION_END_OLDEST (end-oldest) without SESSION_MAX_USER_SESSIONS (max-user-sessions)")
	switch {
	case !sealedStore:
		wrong(c.Keys != "", "SESSION_KEYS (keys) without sealed: in SESSION_STORE (store)")
	case c.Keys == "":
		wrong(true, "SESSION_KEYS (keys) is missing; sealed: in SESSION_STORE (store) needs it")
	default:
		_, err := sealed.ParseKeys(string(c.Keys))
		wrong(err != nil, "SESSION_KEYS (keys): %w", err)
	}
	wrong(c.Cookie.HTTPOnly != nil && !*c.Cookie.HTTPOnly, "SESSION_COOKIE_HTTP_ONLY (cookie.http-only) is false: a script could read the cookie")
	if err := c.propagator().Check(); err != nil {
		wrong(true, "SESSION_COOKIE_… (cookie): %w", err)
	}
	for name, d := range map[string]Duration{
		"SESSION_ROTATE_GRACE (rotate-grace)": c.RotateGrace, "SESSION_RENEW_AFTER (renew-after)": c.RenewAfter,
		"SESSION_REFRESH_INTERVAL (refresh-interval)": c.RefreshInterval,
	} {
		wrong(d < 0, "%s is negative", name)
	}
	wrong(c.RotateGrace > Duration(24*time.Hour), "SESSION_ROTATE_GRACE (rotate-grace) is over a day")
	return errors.Join(errs...)
}

// hint says what a program has to import for a scheme.
func hint(scheme string) string {
	if strings.HasPrefix(scheme, "redis") || scheme == "unix" {
		return `the program has to import _ "github.com/mist-contrib/session/redis"`
	}
	return "does the program import it?"
}

// Manager makes a Manager that has passed [session.Manager.Check], and what has to be
// closed after its last use. It connects to nothing, so a server that is down shows with
// the first request; redis.Store has CheckServer for start-up. Further fields of the
// Manager can be set before its first use.
func (c Config) Manager() (*session.Manager, io.Closer, error) {
	if err := c.Check(); err != nil {
		return nil, nil, err
	}
	store, closer, err := c.open()
	if err != nil {
		return nil, nil, fmt.Errorf("config: SESSION_STORE (store): %w", err)
	}
	if closer == nil {
		closer = io.NopCloser(nil)
	}
	m := &session.Manager{
		Store:           store,
		Propagator:      c.propagator(),
		RotateGrace:     time.Duration(c.RotateGrace),
		RefreshInterval: time.Duration(c.RefreshInterval),
		RenewAfter:      time.Duration(c.RenewAfter),
		MaxUserSessions: c.MaxUserSessions,
		EndOldest:       c.EndOldest,
	}
	if err := m.Check(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("config: %w", err), closer.Close())
	}
	return m, closer, nil
}

func (c Config) open() (session.Store, io.Closer, error) {
	idle, absolute := time.Duration(c.IdleTimeout), time.Duration(c.AbsoluteTimeout)
	switch scheme := c.scheme(); scheme {
	case memoryScheme:
		return &memory.Store{IdleTimeout: idle, AbsoluteTimeout: absolute, MaxSessions: c.MaxSessions}, nil, nil
	case sealedScheme:
		keys, err := sealed.ParseKeys(string(c.Keys))
		return &sealed.Store{Keys: keys, IdleTimeout: idle, AbsoluteTimeout: absolute}, nil, err
	default:
		open, _ := driver.Of(scheme)
		return open(Options{URL: c.url(), Prefix: c.Prefix, IdleTimeout: idle, AbsoluteTimeout: absolute})
	}
}

func (c Config) propagator() *cookie.Propagator {
	return &cookie.Propagator{
		Name: c.Cookie.Name, Path: c.Cookie.Path, Domain: c.Cookie.Domain, SameSite: http.SameSite(c.Cookie.SameSite),
		MaxAge: time.Duration(c.Cookie.MaxAge), Partitioned: c.Cookie.Partitioned,
		Insecure: c.Cookie.Secure != nil && !*c.Cookie.Secure,
	}
}

// scheme is that of the store's URL; empty: it is no URL.
func (c Config) scheme() string {
	if c.Store == "" {
		return memoryScheme
	}
	scheme, _, ok := strings.Cut(string(c.Store), ":")
	if !ok || scheme == "" || strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return ""
	}
	return scheme
}

// user is the part of the store's URL with the user and the password, and what is before
// and behind it. [url.Parse] does not know more than one host.
func (c Config) user() (user, before, behind string) {
	before, behind, ok := strings.Cut(string(c.Store), "://")
	if !ok {
		return "", "", before
	}
	authority := behind
	if end := strings.IndexAny(behind, "/?#"); end >= 0 {
		authority = behind[:end]
	}
	at := strings.LastIndex(authority, "@")
	return behind[:max(at, 0)], before + "://", behind[at+1:]
}

// url is the store's URL with the password that stands elsewhere.
func (c Config) url() string {
	if c.StorePassword == "" {
		return string(c.Store)
	}
	user, before, behind := c.user()
	return before + user + url.UserPassword("", string(c.StorePassword)).String() + "@" + behind
}
