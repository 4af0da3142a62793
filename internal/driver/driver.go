// Package driver is the registry of the stores that a program has imported, by the scheme of
// their URLs. Each store registers itself, like a driver of database/sql, so package config
// needs to import no client of a database.
package driver

import (
	"io"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// Options are an operator's settings for a store.
type Options struct {
	// URL is the address of the store, with user and password. It is a secret.
	URL string

	// Prefix begins the names of the store's keys or tables. Empty: the store's default.
	Prefix string

	// IdleTimeout and AbsoluteTimeout limit the life of a session. Zero: the store's defaults,
	// 30 minutes and 12 hours.
	IdleTimeout, AbsoluteTimeout time.Duration

	// OpTimeout bounds a call of the store whose context has no deadline. Zero: the store's
	// default.
	OpTimeout time.Duration

	// WaitReplicas is how many replicas must have a write before the store acknowledges it.
	// Package config accepts it only for the schemes of package redis.
	WaitReplicas int
}

// An Open makes a store without opening a connection. The caller closes closer after the
// last use of the store; a nil closer means that there is nothing to close. No error may
// contain Options.URL or a part of it.
type Open func(o Options) (store session.Store, closer io.Closer, err error)

//nolint:gochecknoglobals // the registry is the one exception to "no package-level mutable state", as in database/sql
var (
	mu    sync.RWMutex
	opens = make(map[string]Open)
)

// Register registers a store under schemes in lower case. It panics if open is nil or a
// scheme is already registered. It is safe for concurrent use.
func Register(open Open, schemes ...string) {
	mu.Lock()
	defer mu.Unlock()
	if open == nil {
		panic("session: Register: open is nil")
	}
	for _, scheme := range schemes {
		if opens[scheme] != nil {
			panic("session: Register called twice for the scheme " + scheme)
		}
		opens[scheme] = open
	}
}

// Lookup returns the Open of a scheme, or nil if the scheme is unknown. It is safe for
// concurrent use.
func Lookup(scheme string) Open {
	mu.RLock()
	defer mu.RUnlock()
	return opens[scheme]
}
