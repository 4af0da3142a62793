package sealed

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of the keys that NewKey returns, and the minimum length of a key, in
// bytes.
const KeySize = 32

const (
	keyIDSize = 3 // bytes, before they become text
	keyIDLen  = keyIDSize * 4 / 3
)

// Each use of a key derives a key of its own (RFC 5869). These strings name the uses.
const (
	infoID   = "mist-contrib/session/sealed: id of a key, version 1"
	infoSeal = "mist-contrib/session/sealed: seal, version 1"
)

// NewKey returns a new random key. Keep it secret. All processes of the application need the
// same key.
func NewKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // documented never to fail
	return key
}

// ParseKeys returns the keys in a text, such as an environment variable. The text is a list of
// keys separated by commas. Each key is base64 (RFC 4648) in either alphabet, with or without
// padding; spaces and line breaks around it do not matter. An error contains only the position
// of the invalid key, no text of it.
func ParseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for i, one := range strings.Split(text, ",") {
		one = strings.TrimRight(strings.TrimSpace(one), "=")
		one = strings.NewReplacer("+", "-", "/", "_").Replace(one)
		key, err := base64.RawURLEncoding.Strict().DecodeString(one)
		if err != nil || strings.ContainsAny(one, "\r\n") {
			return nil, fmt.Errorf("sealed: key %d is not base64", i+1)
		}
		keys = append(keys, key)
	}
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	return keys, nil
}

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("sealed: Keys is empty")
	}
	for i, key := range keys {
		if len(key) < KeySize {
			return fmt.Errorf("sealed: key %d has under %d bytes", i+1, KeySize)
		}
		if bytes.Equal(key, bytes.Repeat(key[:1], len(key))) {
			return fmt.Errorf("sealed: key %d repeats one byte", i+1)
		}
		for j := range i {
			if bytes.Equal(key, keys[j]) {
				return fmt.Errorf("sealed: key %d equals key %d", i+1, j+1)
			}
		}
	}
	return nil
}

// A sealer seals and opens with one key.
type sealer struct {
	id   string // identifies the key at the start of its seals
	aead cipher.AEAD
}

func newSealer(key []byte) (sealer, error) {
	id, err := hkdf.Key(sha256.New, key, nil, infoID, keyIDSize)
	if err != nil {
		return sealer{}, err
	}
	derived, err := hkdf.Key(sha256.New, key, nil, infoSeal, chacha20poly1305.KeySize)
	if err != nil {
		return sealer{}, err
	}
	aead, err := chacha20poly1305.NewX(derived)
	return sealer{base64.RawURLEncoding.EncodeToString(id), aead}, err
}
