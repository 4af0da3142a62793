// Package config makes a [session.Manager] from environment variables or from a file, so
// that an operator can change the store, the cookie and the lifetimes without a new build:
//
//	c, err := config.FromEnv()
//	if err != nil {
//		log.Fatal(err)
//	}
//	m, closer, err := c.Manager()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer closer.Close()
//
// The page docs/configuration.md of this module has a table of all variables and fields.
//
// A program chooses its stores by import, as with database/sql. The stores memory: and
// sealed: come with this package. For redis://host the program imports
// _ "github.com/mist-contrib/session/redis". This package alone imports no client of any
// database.
//
// Every error names the wrong variable or field, and suggests the name that was probably
// meant. No error contains a value, because any value may be a misplaced secret. A [Secret]
// is never printed either.
package config

import (
	"errors"
	"fmt"
	"io"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// A Config holds the settings that an operator chooses. The zero value means a store in
// memory and the safest cookie. Decoders of JSON, YAML and TOML fill it by its tags, also as
// a field of a larger struct; call Check after decoding. Its methods are safe for concurrent
// use.
type Config struct {
	// Store is the URL of the store: memory:, sealed:, or a URL for a store package that the
	// program imports. Empty: memory:.
	Store Secret `json:"store" yaml:"store" toml:"store" env:"STORE"`

	// StorePassword is the password for Store, if the URL contains none.
	StorePassword Secret `json:"store-password" yaml:"store-password" toml:"store-password" env:"STORE_PASSWORD"`

	// Keys holds the keys for sealed:, in the form that [sealed.ParseKeys] reads.
	Keys Secret `json:"keys" yaml:"keys" toml:"keys" env:"KEYS"`

	// Purpose separates applications that share Keys, see [sealed.Store].
	Purpose string `json:"purpose" yaml:"purpose" toml:"purpose" env:"PURPOSE"`

	// Prefix begins the names of the store's keys or tables. Empty: the store's default.
	Prefix string `json:"prefix" yaml:"prefix" toml:"prefix" env:"PREFIX"`

	// IdleTimeout is how long after its last refresh a session ends. Zero: 30 minutes, or
	// AbsoluteTimeout if that is shorter.
	IdleTimeout Duration `json:"idle-timeout" yaml:"idle-timeout" toml:"idle-timeout" env:"IDLE_TIMEOUT"`

	// AbsoluteTimeout is how long after its creation or last login a session ends. Zero: 12 hours.
	AbsoluteTimeout Duration `json:"absolute-timeout" yaml:"absolute-timeout" toml:"absolute-timeout" env:"ABSOLUTE_TIMEOUT"`

	// MaxSessions limits the sessions in memory:, see [memory.Store]. Zero: no limit.
	MaxSessions int `json:"max-sessions" yaml:"max-sessions" toml:"max-sessions" env:"MAX_SESSIONS"`

	// OpTimeout bounds a call of the store whose context has no deadline. Zero: the store's
	// default. The stores memory: and sealed: have no such calls.
	OpTimeout Duration `json:"op-timeout" yaml:"op-timeout" toml:"op-timeout" env:"OP_TIMEOUT"`

	// WaitReplicas is how many replicas of Redis must have a write before the store
	// acknowledges it, see WaitReplicas of the store in package redis.
	WaitReplicas int `json:"wait-replicas" yaml:"wait-replicas" toml:"wait-replicas" env:"WAIT_REPLICAS"`

	Cookie Cookie `json:"cookie" yaml:"cookie" toml:"cookie" envPrefix:"COOKIE_"`

	// These are the fields of [session.Manager] with the same names.
	RotateGrace     Duration `json:"rotate-grace" yaml:"rotate-grace" toml:"rotate-grace" env:"ROTATE_GRACE"`
	RefreshInterval Duration `json:"refresh-interval" yaml:"refresh-interval" toml:"refresh-interval" env:"REFRESH_INTERVAL"`
	RenewAfter      Duration `json:"renew-after" yaml:"renew-after" toml:"renew-after" env:"RENEW_AFTER"`
	MaxUserSessions int      `json:"max-user-sessions" yaml:"max-user-sessions" toml:"max-user-sessions" env:"MAX_USER_SESSIONS"`
	EndOldest       bool     `json:"end-oldest" yaml:"end-oldest" toml:"end-oldest" env:"END_OLDEST"`
	DeviceBound     Duration `json:"device-bound" yaml:"device-bound" toml:"device-bound" env:"DEVICE_BOUND"`
	DevicePath      string   `json:"device-path" yaml:"device-path" toml:"device-path" env:"DEVICE_PATH"`
}

// A Cookie holds the settings of the cookie. All fields but Secure and HTTPOnly are those of
// [cookie.Propagator]. Without a Name, the cookie of a Config with DeviceBound is named
// "__Host-session", because no browser binds one that begins with __Host-Http-.
type Cookie struct {
	Name        string   `json:"name" yaml:"name" toml:"name" env:"NAME"`
	Path        string   `json:"path" yaml:"path" toml:"path" env:"PATH"`
	Domain      string   `json:"domain" yaml:"domain" toml:"domain" env:"DOMAIN"`
	SameSite    SameSite `json:"same-site" yaml:"same-site" toml:"same-site" env:"SAME_SITE"`
	MaxAge      Duration `json:"max-age" yaml:"max-age" toml:"max-age" env:"MAX_AGE"`
	Partitioned bool     `json:"partitioned" yaml:"partitioned" toml:"partitioned" env:"PARTITIONED"`
	Former      Former   `json:"former" yaml:"former" toml:"former" env:"FORMER"`

	// Secure may be false for plain http, in development only. Nil: true.
	Secure *bool `json:"secure" yaml:"secure" toml:"secure" env:"SECURE"`

	// HTTPOnly must not be false, or scripts could read the cookie. The field exists because
	// operators look for it. Nil: true.
	HTTPOnly *bool `json:"http-only" yaml:"http-only" toml:"http-only" env:"HTTP_ONLY"`
}

// Manager makes a Manager that has passed [session.Manager.Check]. The caller closes the
// closer after the Manager's last use; it is nil only beside an error. Manager fails if Check
// fails, or if the store refuses its URL. It opens no connection, so a store that is down is
// noticed only by the first request. The caller may set further fields of the Manager before
// its first use.
func (c Config) Manager() (*session.Manager, io.Closer, error) {
	if err := c.check(inBoth); err != nil {
		return nil, nil, err
	}
	store, closer, err := c.open()
	if err != nil {
		return nil, nil, fmt.Errorf("config: %s: %w", inBoth("store"), err)
	}
	if closer == nil {
		closer = io.NopCloser(nil)
	}
	m := c.manager(store)
	if err := m.Check(); err != nil {
		return nil, nil, errors.Join(errors.New("config: "+renamed(detail(err), inBoth)), closer.Close())
	}
	return m, closer, nil
}

func (c Config) manager(store session.Store) *session.Manager {
	insecure := isFalse(c.Cookie.Secure)
	if c.Cookie.Name == "" && c.DeviceBound.Duration != 0 && !insecure {
		c.Cookie.Name = bindableName
	}
	return &session.Manager{
		Store: store,
		Propagator: &cookie.Propagator{
			Name:        c.Cookie.Name,
			Path:        c.Cookie.Path,
			Domain:      c.Cookie.Domain,
			SameSite:    c.Cookie.SameSite.SameSite,
			MaxAge:      c.Cookie.MaxAge.Duration,
			Partitioned: c.Cookie.Partitioned,
			Insecure:    insecure,
			Former:      c.Cookie.Former.Cookies,
		},
		RotateGrace:     c.RotateGrace.Duration,
		RefreshInterval: c.RefreshInterval.Duration,
		RenewAfter:      c.RenewAfter.Duration,
		MaxUserSessions: c.MaxUserSessions,
		EndOldest:       c.EndOldest,
		DeviceBound:     c.DeviceBound.Duration,
		DevicePath:      c.DevicePath,
	}
}

// bindableName is the default name of a cookie that browsers bind to a device.
const bindableName = "__Host-session"

func isFalse(b *bool) bool { return b != nil && !*b }
