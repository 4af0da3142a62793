package sealed

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/mist-contrib/session"
)

// A seal is the text that a client carries:
//
//	version, 1 character
//	id of the key, 4 characters
//	base64 of a random nonce of 24 bytes, the encrypted state, and its tag of 16 bytes
//
// XChaCha20-Poly1305 authenticates the first two as well, with the purpose of the store
// and the name under which the client carries the seal. A nonce of 192 random bits never
// comes again, however many seals a key makes.
const (
	version   = "1"
	prefixLen = len(version) + keyIDLen
	overhead  = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

	maxSeal = 4096
	minSeal = prefixLen + (overhead*8+5)/6
)

//nolint:gochecknoglobals // never changes
var encoding = base64.RawURLEncoding.Strict()

// sealLen is how long the seal of a state is.
func sealLen(plain int) int {
	return prefixLen + encoding.EncodedLen(overhead+plain)
}

// bound is what a seal of a key for a name holds for.
func (st *Store) bound(id, name string) []byte {
	b := make([]byte, 0, 64) // enough for most
	return appendString(appendString(append(append(b, version...), id...), name), st.Purpose)
}

// seal seals a state with the first key.
func (st *Store) seal(plain []byte, name string) string {
	with := &st.sealers[0]
	size := sealLen(len(plain))
	out := make([]byte, 0, size+overhead+len(plain)) // the seal, and room to make it
	nonce := out[size : size+chacha20poly1305.NonceSizeX]
	_, _ = rand.Read(nonce) // documented never to fail
	raw := with.aead.Seal(nonce, nonce, plain, st.bound(with.id, name))
	out = append(append(out, version...), with.id...)
	return string(encoding.AppendEncode(out, raw))
}

// open returns the state in a seal that one of the keys made for the name. renew: it was
// not the first of them.
func (st *Store) open(seal, name string) (plain []byte, renew, ok bool) {
	if !st.ValidToken(seal) {
		return nil, false, false
	}
	id := seal[len(version):prefixLen]
	for i := range st.sealers {
		with := &st.sealers[i]
		if with.id != id {
			continue
		}
		raw, err := encoding.DecodeString(seal[prefixLen:])
		if err != nil {
			return nil, false, false
		}
		nonce, sealed := raw[:chacha20poly1305.NonceSizeX], raw[chacha20poly1305.NonceSizeX:]
		// The state takes the place of what it was, also where it is not one.
		if plain, err := with.aead.Open(sealed[:0], nonce, sealed, st.bound(id, name)); err == nil {
			return plain, i > 0, true
		}
	}
	return nil, false, false
}

// ValidToken reports whether token could be a seal, by its shape; see
// [session.ClientStore].
func (st *Store) ValidToken(token string) bool {
	if len(token) < minSeal || len(token) > maxSeal || !strings.HasPrefix(token, version) {
		return false
	}
	other := byte(0)
	for i := range len(token) { // to the end: a branch for each would cost more
		other |= notBase64[token[i]]
	}
	return other == 0
}

//nolint:gochecknoglobals // a table that never changes
var notBase64 = func() (t [256]byte) {
	for i := range t {
		t[i] = 1
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		t[c] = 0
	}
	return t
}()

var _ session.ClientStore = (*Store)(nil)
