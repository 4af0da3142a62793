package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Where the sessions of a user live: their home. It is a hash of the user's name, and
// the id of each of their sessions begins with it. The keys of these sessions and of
// their index have the first characters of the home between braces, so all of them are
// in one slot of a Cluster, and one script can work on all of them. An anonymous
// session has no home.
//
//	Prefix{abc}defghijklmnop_name    a session whose id is abcdefghijklmnop_name
//	Prefix{abc}defghijklmnop:        the index, see scripts/users.lua
//	Prefix{abc}defghijklmnop:revoked:
//
// Two users whose homes begin alike share a slot, and nothing else. The name of an
// index ends with a colon, and no id has one: whatever the prefixes of two stores are,
// no session of one has the name of an index of the other.

const (
	homeSize = 16 // 96 bits
	tagSize  = 3  // a quarter of a million tags, for 16384 slots
	homeEnd  = '_'
)

// homeOf is the home of a user. Their name may be anything, and is not to be read from
// keys and ids.
func homeOf(user string) string {
	sum := sha256.Sum256([]byte(user))
	return base64.RawURLEncoding.EncodeToString(sum[:homeSize/4*3])
}

// splitID returns the home in an id, and the name of the session in the index there.
func splitID(id string) (home, name string, ok bool) {
	if len(id) <= homeSize || id[homeSize] != homeEnd {
		return "", "", false
	}
	return id[:homeSize], id[homeSize:], true
}

// key is where the record of an id is.
func (st *Store) key(id string) string {
	if _, _, ok := splitID(id); ok {
		return st.prefix + tagged(id)
	}
	return st.prefix + id
}

// index is where the sessions of a home are listed.
func (st *Store) index(home string) string { return st.prefix + tagged(home) + ":" }

// revoked is where the time of their last revocation is.
func (st *Store) revoked(home string) string { return st.index(home) + "revoked:" }

func tagged(id string) string { return "{" + id[:tagSize] + "}" + id[tagSize:] }

// sharesSlots reports whether braces behind a prefix say in which slot a key is, or
// those in the prefix itself do. Redis looks at the first pair, and at the whole key
// if there is nothing in it.
func sharesSlots(prefix string) bool {
	_, rest, opened := strings.Cut(prefix, "{")
	return !opened || !strings.HasPrefix(rest, "}")
}
