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
// XChaCha20-Poly1305 also authenticates the first two, the purpose of the store, and the name
// under which the client carries the seal. A nonce has 192 random bits, so it never repeats,
// however many seals a key makes.
const (
	version   = "1"
	prefixLen = len(version) + keyIDLen
	overhead  = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

	maxSeal = 4096
	minSeal = prefixLen + (overhead*8+5)/6
)

//nolint:gochecknoglobals // never changes
var encoding = base64.RawURLEncoding.Strict()

// sealLen returns the length of the seal of a state of plain bytes.
func sealLen(plain int) int {
	return prefixLen + encoding.EncodedLen(overhead+plain)
}

// additionalData returns the data that a seal authenticates besides the state (RFC 5116).
func (st *Store) additionalData(id, name string) []byte {
	b := make([]byte, 0, 64) // enough for most
	return appendString(appendString(append(append(b, version...), id...), name), st.Purpose)
}

// seal seals a state with the first key.
func (st *Store) seal(plain []byte, name string) string {
	with := &st.sealers[0]
	size := sealLen(len(plain))
	out := make([]byte, 0, size+overhead+len(plain)) // the seal, and room for making it
	nonce := out[size : size+chacha20poly1305.NonceSizeX]
	_, _ = rand.Read(nonce) // documented never to fail
	raw := with.aead.Seal(nonce, nonce, plain, st.additionalData(with.id, name))
	out = append(append(out, version...), with.id...)
	return string(encoding.AppendEncode(out, raw))
}

// open returns the state in a seal that one of the keys made for the name. renew is true if it
// was not the first key.
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
		// Open writes the state over its input, even if authentication fails.
		if plain, err := with.aead.Open(sealed[:0], nonce, sealed, st.additionalData(id, name)); err == nil {
			return plain, i > 0, true
		}
	}
	return nil, false, false
}

// ValidToken reports whether token has the shape of a seal; see [session.ClientStore].
func (st *Store) ValidToken(token string) bool {
	if len(token) < minSeal || len(token) > maxSeal || !strings.HasPrefix(token, version) {
		return false
	}
	other := byte(0)
	for i := range len(token) { // no early exit: a branch for each byte would cost more
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
