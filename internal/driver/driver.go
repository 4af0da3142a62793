// Package driver knows the stores that a program has imported, by the scheme of their
// URL, as database/sql knows drivers. A store registers itself here, so that neither
// config nor the store needs the other.
package driver

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// Options are what an operator says of a store.
type Options struct {
	// URL is where it is, with the user and the password. It is a secret.
	URL string

	// Prefix is what its keys begin with; empty: the store's own.
	Prefix string

	// IdleTimeout and AbsoluteTimeout are the store's fields of these names.
	IdleTimeout, AbsoluteTimeout time.Duration
}

// An Open opens a store. closer is what has to be closed with it; nil: nothing. No error
// holds the URL.
type Open func(o Options) (store session.Store, closer io.Closer, err error)

//nolint:gochecknoglobals // what a program has imported is a fact about the program
var registry struct {
	sync.RWMutex
	opens map[string]Open
}

// Register makes a store known under schemes. It panics if one of them is taken.
func Register(open Open, schemes ...string) {
	registry.Lock()
	defer registry.Unlock()
	if registry.opens == nil {
		registry.opens = make(map[string]Open)
	}
	for _, scheme := range schemes {
		if _, taken := registry.opens[scheme]; taken || open == nil {
			panic(fmt.Sprintf("session: store for %q: registered twice, or nil", scheme))
		}
		registry.opens[scheme] = open
	}
}

// Of returns what opens the stores of a scheme.
func Of(scheme string) (open Open, ok bool) {
	registry.RLock()
	defer registry.RUnlock()
	open, ok = registry.opens[scheme]
	return open, ok
}
