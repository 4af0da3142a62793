package dbsc_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
)

// refreshes are the ways of a refresh alone.
var refreshes = []way{
	{"replayed", false, func(c *scene, d *device) string { return c.used[d] }},
	{"replayed, the other s", false, func(c *scene, d *device) string {
		if d != c.ec {
			return c.used[d]
		}
		p := strings.Split(c.used[d], ".")
		raw, err := base64.RawURLEncoding.DecodeString(p[2])
		if err != nil {
			panic(err)
		}
		s := new(big.Int).SetBytes(raw[32:])
		s.Sub(elliptic.P256().Params().N, s).FillBytes(raw[32:])
		return p[0] + "." + p[1] + "." + b64(raw)
	}},
	{"replayed, signed anew", false, func(c *scene, d *device) string {
		p := strings.Split(c.used[d], ".")
		return p[0] + "." + p[1] + "." + b64(signature(c.t, d.key, p[0]+"."+p[1]))
	}},
	{"the attacker's key", false, func(c *scene, d *device) string { return proof(c.t, c.mine, d.challenge) }},
	{"the attacker's key brought along", false, func(c *scene, d *device) string { return registration(c.t, c.mine, d.challenge) }},
	{"the attacker's key behind links", false, func(c *scene, d *device) string {
		h := map[string]any{"alg": "ES256", "typ": typ, "jwk": jwk(c.mine), "kid": d.id, "jku": "https://evil.test", "x5u": "https://evil.test"}
		return sign(c.t, c.mine, h, map[string]any{"jti": d.challenge})
	}},
	{"a certificate", false, func(c *scene, d *device) string {
		h := map[string]any{"alg": "ES256", "typ": typ, "x5c": []string{base64.StdEncoding.EncodeToString(pkix(&device{key: c.mine}))}}
		return sign(c.t, c.mine, h, map[string]any{"jti": d.challenge})
	}},
	{"the device's key brought along, signed by another", false, func(c *scene, d *device) string {
		h := map[string]any{"alg": "ES256", "typ": typ, "jwk": jwk(d.key)}
		return sign(c.t, c.mine, h, map[string]any{"jti": d.challenge})
	}},
	{"a weak key", false, func(c *scene, d *device) string {
		key := c.weak[c.IntN(len(c.weak))]
		h := map[string]any{"alg": algorithm(d.key), "typ": typ, "jwk": public(key)}
		return sign(c.t, key, h, map[string]any{"jti": d.challenge})
	}},
}

// keyed signs with a key what brings another one, or a changed one.
func keyed(change func(c *scene, k map[string]any)) func(c *scene, d *device) string {
	return func(c *scene, d *device) string {
		h := c.header(d, d.key)
		change(c, h["jwk"].(map[string]any))
		return sign(c.t, d.key, h, map[string]any{"jti": d.offered})
	}
}

// registrations are the ways of a registration alone.
var registrations = []way{
	{"a weak key registered", true, func(c *scene, d *device) string {
		key := c.weak[c.IntN(len(c.weak))]
		alg := "ES256"
		if _, is := key.(*oddKey); is {
			alg = "RS256"
		}
		return sign(c.t, key, map[string]any{"alg": alg, "typ": typ, "jwk": public(key)}, map[string]any{"jti": d.offered})
	}},
	{"a key that is not the signer's", true, func(c *scene, d *device) string {
		return sign(c.t, c.mine, c.header(d, d.key), map[string]any{"jti": d.offered})
	}},
	{"no key", true, func(c *scene, d *device) string { return proof(c.t, d.key, d.offered) }},
	{"a point that is not on the curve", true, keyed(func(c *scene, k map[string]any) {
		x, y := make([]byte, 32), make([]byte, 32)
		for i := range 32 {
			x[i], y[i] = byte(c.IntN(256)), byte(c.IntN(256))
		}
		k["x"], k["y"] = b64(x), b64(y)
	})},
	{"no point", true, keyed(func(_ *scene, k map[string]any) { k["x"], k["y"] = b64(make([]byte, 32)), b64(make([]byte, 32)) })},
	{"half a point", true, keyed(func(_ *scene, k map[string]any) { delete(k, "y") })},
	{"the name of another curve", true, keyed(func(c *scene, k map[string]any) { k["crv"] = []any{"P-384", "P-521", "secp256k1", "", nil}[c.IntN(5)] })},
	{"another kind of key", true, keyed(func(c *scene, k map[string]any) { k["kty"] = []any{"RSA", "OKP", "oct", "ec", "", nil}[c.IntN(6)] })},
	{"a private key", true, keyed(func(c *scene, k map[string]any) { k["d"] = b64([]byte{1}) })},
	{"a secret", true, func(c *scene, d *device) string {
		secret := []byte("0123456789abcdef0123456789abcdef")
		h := map[string]any{"alg": "HS256", "typ": typ, "jwk": map[string]any{"kty": "oct", "k": b64(secret)}}
		input := b64(text(c.t, h)) + "." + b64(text(c.t, map[string]any{"jti": d.offered}))
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write([]byte(input))
		return input + "." + b64(mac.Sum(nil))
	}},
	{"a list of keys", true, func(c *scene, d *device) string {
		h := c.header(d, d.key)
		h["jwk"] = []any{h["jwk"]}
		return sign(c.t, d.key, h, map[string]any{"jti": d.offered})
	}},
	{"a key twice", true, func(c *scene, d *device) string {
		h := object("alg", "ES256", "typ", typ, "jwk", jwk(c.mine), "jwk", jwk(d.key))
		return sign(c.t, d.key, h, map[string]any{"jti": d.offered})
	}},
	{"an even modulus", true, func(c *scene, d *device) string {
		n := new(big.Int).Lsh(big.NewInt(1), 2047)
		n.Add(n, new(big.Int).SetUint64(c.Uint64()<<1))
		h := map[string]any{"alg": "RS256", "typ": typ, "jwk": map[string]any{"kty": "RSA", "n": b64(n.Bytes()), "e": "AQAB"}}
		input := b64(text(c.t, h)) + "." + b64(text(c.t, map[string]any{"jti": d.offered}))
		return input + "." + b64(bytes.Repeat([]byte{byte(c.IntN(256))}, 256))
	}},
	{"a huge exponent", true, func(c *scene, d *device) string {
		h := map[string]any{"alg": "RS256", "typ": typ, "jwk": map[string]any{"kty": "RSA", "n": jwk(rsaKey())["n"], "e": b64(bytes.Repeat([]byte{0xff}, 1+c.IntN(300)))}}
		return sign(c.t, rsaKey(), h, map[string]any{"jti": d.offered})
	}},
}
