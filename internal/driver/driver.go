// Package driver holds the stores that a program has imported, by the scheme of their
// URL. A store registers itself, as a driver of database/sql does, so config imports no
// client of a database.
package driver

import (
	"io"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// Options are what an operator says about a store.
type Options struct {
	// URL says where the store is, with user and password. It is a secret.
	URL string

	// Prefix is what the names of the store's keys or tables begin with. Empty: the store's default.
	Prefix string

	// IdleTimeout and AbsoluteTimeout are how long a session lives. Zero: the defaults
	// of [session.Store] implementations, 30 minutes and 12 hours.
	IdleTimeout, AbsoluteTimeout time.Duration
}

// An Open makes a store. It connects to nothing. The caller closes closer after the last
// use of the store; nil means that nothing needs to be closed. No error may contain
// Options.URL or a part of it.
type Open func(o Options) (store session.Store, closer io.Closer, err error)

// The registry is a fact about the program: which packages it imports.
//
//nolint:gochecknoglobals // the one exception to "no package-level mutable state", as in database/sql
var (
	mu    sync.RWMutex
	opens = make(map[string]Open)
)

// Register makes a store known under schemes, in lower case. It panics if open is nil or
// if a scheme is taken. It is safe for concurrent use.
func Register(open Open, schemes ...string) {
	mu.Lock()
	defer mu.Unlock()
	if open == nil {
		panic("session: Register of a nil function")
	}
	for _, scheme := range schemes {
		if opens[scheme] != nil {
			panic("session: Register called twice for the scheme " + scheme)
		}
		opens[scheme] = open
	}
}

// Lookup returns the function that opens stores of a scheme. Unknown scheme: nil. It is
// safe for concurrent use.
func Lookup(scheme string) Open {
	mu.RLock()
	defer mu.RUnlock()
	return opens[scheme]
}
