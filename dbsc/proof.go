package dbsc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // it refuses duplicate keys
)

// ErrProof means that a proof was refused. The errors below match it and give the reason;
// they are the Cause of [session.EventProofRefused].
var ErrProof = errors.New("dbsc: proof refused")

// The reasons for refusing a proof. Each matches [ErrProof].
var (
	ErrMalformed error = reason("malformed proof")
	ErrKey       error = reason("key is neither P-256 nor RSA with 2048 to 4096 bits")
	ErrSignature error = reason("bad signature")
	ErrChallenge error = reason("unknown or expired challenge")
)

type reason string

func (r reason) Error() string { return ErrProof.Error() + ": " + string(r) }

func (reason) Is(target error) bool { return target == ErrProof }

const (
	minRSA = 2048
	maxRSA = 4096

	proofType = "dbsc+jwt"
)

// parse reads a proof without checking its signature. The list decides which algorithms it
// accepts, not the proof's own header.
func parse(proof string, algorithms ...jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	for part := range strings.SplitSeq(proof, ".") { // the library would also accept other encodings of the same bytes
		if raw, err := base64.RawURLEncoding.DecodeString(part); err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
			return nil, ErrMalformed
		}
	}
	jws, err := jose.ParseSignedCompact(proof, algorithms)
	if err != nil {
		return nil, ErrMalformed
	}
	// These headers would change how the proof has to be read.
	extra := jws.Signatures[0].Protected.ExtraHeaders
	if _, critical := extra["crit"]; critical || extra["b64"] != nil || extra[jose.HeaderType] != proofType {
		return nil, ErrMalformed
	}
	return jws, nil
}

// verify checks the signature of a proof and returns the challenge that it answers.
func verify(jws *jose.JSONWebSignature, key any) (challenge string, err error) {
	payload, err := jws.Verify(key)
	if err != nil {
		return "", ErrSignature
	}
	var claims struct {
		JTI string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", ErrMalformed
	}
	return claims.JTI, nil
}

// register checks the proof of a registration, which contains the public key, and returns
// the device to store.
func register(proof, challenge string) (device string, err error) {
	jws, err := parse(proof, jose.ES256, jose.RS256)
	if err != nil {
		return "", err
	}
	jwk := jws.Signatures[0].Header.JSONWebKey
	if jwk == nil {
		return "", ErrMalformed
	}
	d, err := newDevice(jwk.Key)
	if err != nil {
		return "", err
	}
	if jws.Signatures[0].Header.Algorithm != string(d.algorithm()) {
		return "", ErrKey
	}
	answered, err := verify(jws, d.key)
	switch {
	case err != nil:
		return "", err
	case !equal(answered, challenge):
		return "", ErrChallenge
	}
	return d.encode()
}

// verifyRefresh checks the proof of a refresh and returns the challenge that it answers.
func (d *device) verifyRefresh(proof, id string, now time.Time) (challenge string, err error) {
	jws, err := parse(proof, d.algorithm())
	if err != nil {
		return "", err
	}
	if challenge, err = verify(jws, d.key); err != nil {
		return "", err
	}
	if !d.issued(challenge, id, now) {
		return "", ErrChallenge
	}
	return challenge, nil
}

// algorithm returns the only signature algorithm that the device may use.
func (d *device) algorithm() jose.SignatureAlgorithm {
	if _, ok := d.key.(*ecdsa.PublicKey); ok {
		return jose.ES256
	}
	return jose.RS256
}

// allowedKey reports whether a key has a type and size that this package accepts.
func allowedKey(key any) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits >= minRSA && bits <= maxRSA && k.E >= 3 && k.E <= 1<<31-1 && k.E%2 == 1
	}
	return false
}

func (d *device) encode() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(d.key)
	if err != nil {
		return "", ErrKey // a point that is not on the curve
	}
	return version + string(d.secret[:]) + string(der), nil
}
