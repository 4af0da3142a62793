// Package token holds what a client carries and what a store keeps of it.
//
// A token is <id>.<secret>. The id is the session's public handle; the secret
// is what authenticates. A store keeps [Hash] of the secret only, so a dump of
// the store holds nothing that a client could send (ASVS 5.0, 14.2.4). A plain
// hash is enough because the secret has at least 128 bits of entropy.
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

// Sum is what a store keeps of a secret.
type Sum [sha256.Size]byte

// Salt is the public half of a rotation: with the secret before it, it gives
// the secret after it. Without that secret it gives nothing.
type Salt [16]byte

// ValidID reports whether id can name a session: 1 to [MaxID] characters of
// A-Z, a-z, 0-9, '-' and '_'. A separator, a glob, a brace or a control
// character would change the meaning of a token or of a store's key.
func ValidID(id string) bool {
	return id != "" && len(id) <= MaxID && all(id, inID)
}

// CookieValue reports whether s can be the value of a cookie as it is: at least
// one character, all of them cookie-octets (RFC 6265, 4.1.1).
func CookieValue(s string) bool {
	return s != "" && all(s, inCookie)
}

// What a byte may be part of.
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

// all reports whether every byte of s is of the class. It never stops early, and
// takes eight at a time: every request pays for it, and what is valid pays less
// than half so.
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

// NewSecret returns a fresh secret from the system's random source, with at
// least 128 bits of entropy (ASVS 5.0, 7.2.3). It never fails: a system without
// randomness ends the program.
func NewSecret() string {
	return rand.Text()
}

// NewSalt returns the salt of one rotation.
func NewSalt() Salt {
	var s Salt
	_, _ = rand.Read(s[:]) // documented never to fail
	return s
}

// Next returns the secret that follows secret in the rotation that salt names.
// Everyone who holds secret arrives at the same successor, which is how all
// losers of a race end with the same new token though no store keeps it.
func Next(secret string, salt Salt) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(salt[:])
	sum := mac.Sum(nil)
	return base32.StdEncoding.EncodeToString(sum)[:minSecret]
}

// Join makes the token of an id and a secret.
func Join(id, secret string) string {
	return id + separator + secret
}

// Parse splits a token. ok is false for anything but the exact shape of a
// token; it looks at no more than [Max] bytes and allocates nothing.
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

// Hash returns what a store keeps of secret.
func Hash(secret string) Sum {
	var buf [maxSecret]byte
	return sha256.Sum256(append(buf[:0], secret...))
}

// Equal compares two sums in constant time.
func Equal(a, b Sum) bool {
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
