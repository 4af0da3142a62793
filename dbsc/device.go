package dbsc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// A device is stored in the session's record as a version, the secret of its challenges, and
// its public key in PKIX form.
type device struct {
	secret [16]byte
	key    any // *ecdsa.PublicKey or *rsa.PublicKey
}

const version = "1"

var errDevice = errors.New("dbsc: the device in the store cannot be read")

func newDevice(key any) (*device, error) {
	if !allowedKey(key) {
		return nil, ErrKey
	}
	d := &device{key: key}
	_, _ = rand.Read(d.secret[:]) // documented never to fail
	return d, nil
}

// parseDevice reads the output of encode.
func parseDevice(stored string) (*device, error) {
	rest, ok := strings.CutPrefix(stored, version)
	if !ok || len(rest) < len(device{}.secret) {
		return nil, errDevice
	}
	d := &device{}
	key, err := x509.ParsePKIXPublicKey([]byte(rest[copy(d.secret[:], rest):]))
	if err != nil || !allowedKey(key) {
		return nil, errDevice
	}
	d.key = key
	return d, nil
}

// A challenge consists of its time, random bytes, and a code over both and the session's id.
const (
	timeSize      = 8
	randomSize    = 8
	codeSize      = 16
	challengeSize = timeSize + randomSize + codeSize
)

// challenge makes a challenge for the session with this id.
func (d *device) challenge(id string, now time.Time) string {
	c := binary.BigEndian.AppendUint64(make([]byte, 0, challengeSize), uint64(now.UnixMilli()))
	c = c[:timeSize+randomSize]
	_, _ = rand.Read(c[timeSize:]) // documented never to fail
	return base64.RawURLEncoding.EncodeToString(append(c, d.code(c, id)...))
}

// issued reports whether the challenge was made for this session and is still valid.
func (d *device) issued(challenge, id string, now time.Time) bool {
	c, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil || len(c) != challengeSize || base64.RawURLEncoding.EncodeToString(c) != challenge {
		return false // also for another encoding of a valid challenge: stores compare the text
	}
	if subtle.ConstantTimeCompare(c[timeSize+randomSize:], d.code(c[:timeSize+randomSize], id)) != 1 {
		return false
	}
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(c)))) //nolint:gosec // made by challenge
	return age < session.ChallengeLife && age > -session.ChallengeLife
}

func (d *device) code(c []byte, id string) []byte {
	mac := hmac.New(sha256.New, d.secret[:])
	_, _ = mac.Write(c)
	_, _ = mac.Write([]byte(id))
	return mac.Sum(nil)[:codeSize]
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
