package config

import (
	"io"
	"net/url"
	"strings"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/driver"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

const (
	memoryScheme = "memory"
	sealedScheme = "sealed"
)

// Options are an operator's settings for a store, for a function given to [Register].
type Options = driver.Options

// Register registers a store under the schemes of its URLs, in lower case. A store's package
// calls it in init. open makes a store and opens no connection. The user of the Manager
// calls the closer, which may be nil. No error of open may contain [Options].URL or a part
// of it. Register panics if open is nil or a scheme is already registered. It is safe for
// concurrent use.
func Register(open func(o Options) (session.Store, io.Closer, error), schemes ...string) {
	driver.Register(open, schemes...)
}

//nolint:gochecknoinits // these two stores are registered like any other
func init() {
	Register(func(o Options) (session.Store, io.Closer, error) {
		return &memory.Store{IdleTimeout: o.IdleTimeout, AbsoluteTimeout: o.AbsoluteTimeout}, nil, nil
	}, memoryScheme)
	Register(func(o Options) (session.Store, io.Closer, error) {
		return &sealed.Store{IdleTimeout: o.IdleTimeout, AbsoluteTimeout: o.AbsoluteTimeout}, nil, nil
	}, sealedScheme)
}

// open makes the store of a Config that has passed check.
func (c Config) open() (session.Store, io.Closer, error) {
	u := c.url()
	store, closer, err := driver.Lookup(u.scheme)(Options{
		URL:             u.text(c.StorePassword.reveal()),
		Prefix:          c.Prefix,
		IdleTimeout:     c.IdleTimeout.Duration,
		AbsoluteTimeout: c.AbsoluteTimeout.Duration,
		OpTimeout:       c.OpTimeout.Duration,
		WaitReplicas:    c.WaitReplicas,
	})
	if err != nil {
		return nil, nil, err
	}
	switch st := store.(type) {
	case *memory.Store:
		st.MaxSessions = c.MaxSessions
	case *sealed.Store:
		st.Purpose = c.Purpose
		st.Keys, err = sealed.ParseKeys(c.Keys.reveal())
	}
	return store, closer, err
}

// A storeURL holds the parts of a store's URL. [url.Parse] cannot read a URL with several
// hosts.
type storeURL struct {
	scheme         string // empty: the text is no URL
	slashes        bool
	user, password string // percent-encoded, as in the URL
	rest           string
}

func (c Config) url() (u storeURL) {
	text := c.Store.reveal()
	if text == "" {
		text = memoryScheme + ":"
	}
	scheme, rest, ok := strings.Cut(text, ":")
	scheme = strings.ToLower(scheme)
	if !ok || !isScheme(scheme) {
		return storeURL{}
	}
	if u.rest, u.slashes = strings.CutPrefix(rest, "//"); !u.slashes {
		if strings.Contains(rest, "@") && driver.Lookup(scheme) == nil {
			return storeURL{} // it looks like user:password@host, and errors would print the user as the scheme
		}
		return storeURL{scheme: scheme, rest: rest}
	}
	u.scheme = scheme
	end := len(u.rest)
	if i := strings.IndexAny(u.rest, "/?#"); i >= 0 {
		end = i
	}
	if at := strings.LastIndexByte(u.rest[:end], '@'); at >= 0 {
		u.user, u.password, _ = strings.Cut(u.rest[:at], ":")
		u.rest = u.rest[at+1:]
	}
	return u
}

// text returns the URL. A password that is not empty replaces the URL's.
func (u storeURL) text(password string) string {
	text := u.scheme + ":"
	if u.slashes {
		text += "//"
	}
	if password != "" {
		u.password = strings.TrimPrefix(url.UserPassword("", password).String(), ":")
	}
	if u.password != "" {
		return text + u.user + ":" + u.password + "@" + u.rest
	}
	if u.user != "" {
		return text + u.user + "@" + u.rest
	}
	return text + u.rest
}

// isScheme reports whether a text is a scheme (RFC 3986, 3.1) in lower case. It must be short,
// because errors print it.
func isScheme(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return s != "" && len(s) <= 32 && strings.IndexByte(letters, s[0]) >= 0 && strings.Trim(s, letters+"0123456789+-.") == ""
}
