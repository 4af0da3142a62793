package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// The home of a user is a hash of the user's name. The ids of all sessions of the user begin
// with it. The keys of these sessions and of their index have the first characters of the
// home in braces. So all of them are in one slot of a Cluster, and one script can use all of
// them. An anonymous session has no home.
//
//	Prefix{abc}defghijklmnop_name    a session whose id is abcdefghijklmnop_name
//	Prefix{abc}defghijklmnop:        the index, see scripts/users.lua
//	Prefix{abc}defghijklmnop:revoked:
//
// Two users whose homes begin alike share a slot, and nothing else. The key of an index ends
// with a colon, and an id contains none. So a session of one store never has the key of
// another store's index, whatever their prefixes are.

const (
	homeSize = 16 // 96 bits
	tagSize  = 3  // a quarter of a million tags, for 16384 slots
	homeEnd  = '_'
)

// homeOf returns the home of a user. It is a hash because names may contain any byte, and
// keys and ids should not reveal them.
func homeOf(user string) string {
	sum := sha256.Sum256([]byte(user))
	return base64.RawURLEncoding.EncodeToString(sum[:homeSize/4*3])
}

// splitID splits an id into the home and the name of the session in the user's index.
func splitID(id string) (home, name string, ok bool) {
	if len(id) <= homeSize || id[homeSize] != homeEnd {
		return "", "", false
	}
	return id[:homeSize], id[homeSize:], true
}

// key returns the key of the record with an id.
func (st *Store) key(id string) string {
	if _, _, ok := splitID(id); ok {
		return st.prefix + tagged(id)
	}
	return st.prefix + id
}

// index returns the key of the index of a home.
func (st *Store) index(home string) string { return st.prefix + tagged(home) + ":" }

// revoked returns the key that holds the time of the last revocation.
func (st *Store) revoked(home string) string { return st.index(home) + "revoked:" }

func tagged(id string) string { return "{" + id[:tagSize] + "}" + id[tagSize:] }

// sharesSlots reports whether all keys of a user with this prefix are in one slot. Redis
// hashes the text in the first pair of braces, or the whole key if that pair is empty.
func sharesSlots(prefix string) bool {
	_, rest, opened := strings.Cut(prefix, "{")
	return !opened || !strings.HasPrefix(rest, "}")
}
