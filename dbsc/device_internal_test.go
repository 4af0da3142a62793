package dbsc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math"
	"math/big"
	"testing"
)

// A device has a key of P-256, or of RSA with 2048 to 4096 bits and an odd exponent from 3
// on, and comes out of a store as it went in.
func TestKeys(t *testing.T) {
	ec := func(curve elliptic.Curve) any {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &key.PublicKey
	}
	modulus := func(bits uint, e int) any {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: e}
	}
	for name, c := range map[string]struct {
		key  any
		want bool
	}{
		"P-256":                {ec(elliptic.P256()), true},
		"P-224":                {ec(elliptic.P224()), false},
		"P-384":                {ec(elliptic.P384()), false},
		"P-521":                {ec(elliptic.P521()), false},
		"RSA 2047":             {modulus(2047, 65537), false},
		"RSA 2048":             {modulus(2048, 65537), true},
		"RSA 4096":             {modulus(4096, 65537), true},
		"RSA 4097":             {modulus(4097, 65537), false},
		"RSA, exponent 1":      {modulus(2048, 1), false},
		"RSA, exponent 3":      {modulus(2048, 3), true},
		"RSA, exponent 4":      {modulus(2048, 4), false},
		"RSA, exponent -1":     {modulus(2048, -1), false},
		"RSA, exponent 2^31-1": {modulus(2048, math.MaxInt32), true},
		"RSA, exponent 2^31+1": {modulus(2048, math.MaxInt32+2), false},
		"a secret":             {[]byte("0123456789abcdef0123456789abcdef"), false},
		"nothing":              {nil, false},
	} {
		d, err := newDevice(c.key)
		if (err == nil) != c.want || err != nil && !errors.Is(err, ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil {
			continue
		}
		stored, err := d.encode()
		if err != nil || len(stored) > 1024 {
			t.Fatalf("%s: got %d bytes, %v", name, len(stored), err)
		}
		if same, err := parseDevice(stored); err != nil || same.secret != d.secret {
			t.Errorf("%s: another device came back, %v", name, err)
		}
		for cut := range len(stored) {
			if _, err := parseDevice(stored[:cut]); err == nil {
				t.Errorf("%s: %d bytes of %d are a device", name, cut, len(stored))
			}
		}
	}
	one, err := newDevice(ec(elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := newDevice(one.key); err != nil || other.secret == one.secret {
		t.Errorf("two devices have one secret, %v", err)
	}
}
