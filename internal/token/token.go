// Package token defines the token that a client carries, and what a store keeps of it.
//
// A token is <id>.<secret>. The id names the session and is public; the secret authenticates. A
// store keeps only [Hash] of the secret, so a dump of the store contains nothing that a client
// could send (ASVS 5.0, 14.2.4). A plain hash is enough because the secret has at least 128
// bits of entropy.
package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"
)

const (
	// MaxID is the length of the longest id, in bytes.
	MaxID = 128

	separator = "."
	minSecret = 26 // of crypto/rand.Text: 130 bits
	maxSecret = 64 // room for a longer crypto/rand.Text
	// Max is the length of the longest token, in bytes.
	Max = MaxID + len(separator) + maxSecret
)

// Sum is the hash of a secret, as a store keeps it.
type Sum [sha256.Size]byte

// Salt is the public part of a rotation. With the old secret it yields the new one; without the
// old secret it reveals nothing.
type Salt [16]byte

// ValidID reports whether id can name a session: 1 to [MaxID] characters of A-Z, a-z, 0-9, '-'
// and '_'. Other characters, such as a separator, a glob or a brace, could change the meaning
// of a token or of a store's key.
func ValidID(id string) bool {
	return id != "" && len(id) <= MaxID && all(id, inID)
}

// CookieValue reports whether s can be a cookie value without encoding. It needs at least one
// character, and all of them must be cookie-octets (RFC 6265, 4.1.1).
func CookieValue(s string) bool {
	return s != "" && all(s, inCookie)
}

// These classes say where a byte may occur.
const (
	inID = 1 << iota
	inSecret
	inCookie
)

//nolint:gochecknoglobals // a table that never changes
var classes = func() (t [256]byte) {
	for c := '!'; c <= '~'; c++ {
		t[c] |= inCookie
	}
	for _, c := range `",;\` {
		t[c] &^= inCookie
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" {
		t[c] |= inSecret
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		t[c] |= inID
	}
	return t
}()

// all reports whether every byte of s is of the class. It does not stop early, and checks eight
// bytes at a time, because every request pays for it. This more than halves the cost for a
// valid token.
func all(s string, class byte) bool {
	for ; len(s) >= 8; s = s[8:] {
		class &= classes[s[0]] & classes[s[1]] & classes[s[2]] & classes[s[3]] &
			classes[s[4]] & classes[s[5]] & classes[s[6]] & classes[s[7]]
	}
	for i := range len(s) {
		class &= classes[s[i]]
	}
	return class != 0
}

// NewSecret returns a fresh secret from the system's random source, with at least 128 bits of
// entropy (ASVS 5.0, 7.2.3). It never fails: without a random source the program ends.
func NewSecret() string {
	return rand.Text()
}

// NewSalt returns the salt of one rotation.
func NewSalt() Salt {
	var s Salt
	_, _ = rand.Read(s[:]) // documented never to fail
	return s
}

// Next returns the successor of secret in the rotation of salt. Every caller that holds secret
// derives the same successor. So all concurrent rotations end with the same new token, though
// no store keeps it.
func Next(secret string, salt Salt) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(salt[:])
	sum := mac.Sum(nil)
	return base32.StdEncoding.EncodeToString(sum)[:minSecret]
}

// Join returns the token of an id and a secret.
func Join(id, secret string) string {
	return id + separator + secret
}

// Parse splits a token. ok is false unless token has exactly the shape of a token. Parse reads
// at most [Max] bytes and does not allocate.
func Parse(token string) (id, secret string, ok bool) {
	if len(token) > Max {
		return "", "", false
	}
	id, secret, ok = strings.Cut(token, separator)
	if !ok || !ValidID(id) || len(secret) < minSecret || len(secret) > maxSecret || !all(secret, inSecret) {
		return "", "", false
	}
	return id, secret, true
}

// Hash returns the hash of secret that a store keeps.
func Hash(secret string) Sum {
	var buf [maxSecret]byte
	return sha256.Sum256(append(buf[:0], secret...))
}

// Equal compares two sums in constant time.
func Equal(a, b Sum) bool {
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
