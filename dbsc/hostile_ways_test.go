package dbsc_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"slices"
	"strings"
	"time"
)

// A way makes hostile proofs for a device; for a registration it is one whose login and
// challenge the attacker has, too.
type way struct {
	name      string
	registers bool
	make      func(c *scene, d *device) string
}

const typ = "dbsc+jwt"

// ways are all of them. Those of a registration are refused for their key or their form
// alone: everything else in them is right.
var ways = slices.Concat(both(mutations), refreshes, registrations)

// both are ways that are tried for a refresh and for a registration.
func both(of []way) (all []way) {
	for _, w := range of {
		all = append(all, w, way{"registration: " + w.name, true, w.make})
	}
	return all
}

// one returns a good proof of a device, which nobody sends as it is.
func (c *scene) one(d *device) string { return c.signed[d][c.IntN(len(c.signed[d]))] }

// parts returns the three parts of a good proof.
func (c *scene) parts(d *device) []string { return strings.Split(c.one(d), ".") }

// header returns the header of a good proof with the fields of extra, in the place of its
// own of that name.
func (c *scene) header(d *device, key crypto.Signer, extra ...any) map[string]any {
	h := map[string]any{"alg": algorithm(d.key), "typ": typ}
	if d == c.fresh {
		h["jwk"] = public(key)
	}
	for i := 0; i < len(extra); i += 2 {
		if h[extra[i].(string)] = extra[i+1]; extra[i+1] == nil {
			delete(h, extra[i].(string))
		}
	}
	return h
}

// answers returns the challenge that d may answer now.
func (c *scene) answers(d *device) string {
	if d == c.fresh {
		return d.offered
	}
	return d.challenge
}

// with signs, by the device's own key, a header that no device sends.
func with(extra ...any) func(c *scene, d *device) string {
	return func(c *scene, d *device) string {
		return sign(c.t, d.key, c.header(d, d.key, extra...), map[string]any{"jti": c.answers(d)})
	}
}

// saying signs, by the device's own key, a payload that no device sends.
func saying(payload func(c *scene, challenge string) any) func(c *scene, d *device) string {
	return func(c *scene, d *device) string {
		return sign(c.t, d.key, c.header(d, d.key), payload(c, c.answers(d)))
	}
}

// resigned changes the bytes of a good signature.
func resigned(change func(c *scene, signature []byte) []byte) func(c *scene, d *device) string {
	return func(c *scene, d *device) string {
		p := c.parts(d)
		raw, err := base64.RawURLEncoding.DecodeString(p[2])
		if err != nil {
			panic(err)
		}
		return p[0] + "." + p[1] + "." + b64(change(c, raw))
	}
}

// claimed signs with the algorithm that is named none, or one of keys that are no secret.
func claimed(alg string, signature func(c *scene, d *device, input string) []byte) func(c *scene, d *device) string {
	return func(c *scene, d *device) string {
		input := b64(text(c.t, c.header(d, d.key, "alg", alg))) + "." + b64(text(c.t, map[string]any{"jti": c.answers(d)}))
		return input + "." + b64(signature(c, d, input))
	}
}

// hmacBy takes the public key, in some form, for a secret.
func hmacBy(form func(d *device) []byte) func(c *scene, d *device, input string) []byte {
	return func(_ *scene, d *device, input string) []byte {
		mac := hmac.New(sha256.New, form(d))
		_, _ = mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

func pkix(d *device) []byte {
	der, err := x509.MarshalPKIXPublicKey(d.key.Public())
	if err != nil {
		panic(err)
	}
	return der
}

func nothing(*scene, *device, string) []byte { return nil }

func right(c *scene, d *device, input string) []byte { return signature(c.t, d.key, input) }

// mutations are tried for both.
var mutations = []way{
	{"a bit flipped", false, func(c *scene, d *device) string {
		b := []byte(c.one(d))
		b[c.IntN(len(b))] ^= 1 << c.IntN(8)
		return string(b)
	}},
	{"a character changed", false, func(c *scene, d *device) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		b := []byte(c.one(d))
		for i := c.IntN(len(b)); ; {
			if to := alphabet[c.IntN(len(alphabet))]; to != b[i] {
				b[i] = to
				return string(b)
			}
		}
	}},
	{"the last character of a part", false, func(c *scene, d *device) string {
		p := c.parts(d)
		i := c.IntN(3)
		if next := spelled(p[i]); next != p[i] {
			p[i] = next
		} else {
			p[i] += "A"
		}
		return strings.Join(p, ".")
	}},
	{"cut off", false, func(c *scene, d *device) string { s := c.one(d); return s[:1+c.IntN(len(s)-1)] }},
	{"cut off at the front", false, func(c *scene, d *device) string { s := c.one(d); return s[1+c.IntN(len(s)-1):] }},
	{"bytes inserted", false, func(c *scene, d *device) string {
		s := c.one(d)
		i := 1 + c.IntN(len(s)-1) // spaces around a proof are none of it
		return s[:i] + strings.Repeat(string("A=.\n\r\t \x00,;\"\\"[c.IntN(12)]), 1+c.IntN(4)) + s[i:] + "."[:c.IntN(2)]
	}},
	{"parts of others", false, func(c *scene, d *device) string {
		for {
			var all [][]string
			for _, of := range []*device{c.ec, c.rs, c.fresh, d, d} {
				all = append(all, c.parts(of))
			}
			p := []string{all[c.IntN(5)][0], all[c.IntN(5)][1], all[c.IntN(5)][2]}
			if s := strings.Join(p, "."); !slices.Contains(c.signed[d], s) {
				return s
			}
		}
	}},
	{"parts in another order", false, func(c *scene, d *device) string { p := c.parts(d); return p[1] + "." + p[0] + "." + p[2] }},
	{"a part too few or many", false, func(c *scene, d *device) string {
		p := c.parts(d)
		if c.IntN(2) == 0 {
			return strings.Join(append(p, p[c.IntN(3)]), ".")
		}
		return strings.Join(slices.Delete(p, 1, 2), ".")
	}},
	{"an empty part", false, func(c *scene, d *device) string { p := c.parts(d); p[c.IntN(3)] = ""; return strings.Join(p, ".") }},
	{"bytes that are none of these", false, func(c *scene, _ *device) string {
		b := make([]byte, 1+c.IntN(5000))
		for i := range b {
			b[i] = byte(c.IntN(256))
		}
		return string(b)
	}},
	{"letters that are none", false, func(c *scene, _ *device) string {
		b := make([]byte, 3+c.IntN(300))
		for i := range b {
			b[i] = byte(c.IntN(256))
		}
		return b64(b) + "." + b64(b[1:]) + "." + b64(b[2:])
	}},
	{"huge", false, func(c *scene, d *device) string {
		return sign(c.t, d.key, c.header(d, d.key, "x", strings.Repeat("x", 3000+c.IntN(100_000))), map[string]any{"jti": c.answers(d)})
	}},
	{"as JSON", false, func(c *scene, d *device) string {
		p := c.parts(d)
		return mustJSON(map[string]any{"protected": p[0], "payload": p[1], "signature": p[2]})
	}},
	{"deep", false, func(c *scene, d *device) string {
		deep := strings.Repeat("[", 700) + strings.Repeat("]", 700)
		return sign(c.t, d.key, `{"alg":"`+algorithm(d.key)+`","typ":`+deep+`}`, map[string]any{"jti": c.answers(d)})
	}},
	{"none", false, claimed("none", nothing)},
	{"None, signed", false, claimed("None", right)},
	{"no algorithm", false, with("alg", nil)},
	{"an algorithm that is a list", false, with("alg", []string{"ES256", "RS256"})},
	{"HS256 by PKIX", false, claimed("HS256", hmacBy(pkix))},
	{"HS256 by PEM", false, claimed("HS256", hmacBy(func(d *device) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix(d)})
	}))},
	{"HS256 by JWK", false, claimed("HS256", hmacBy(func(d *device) []byte { return []byte(mustJSON(jwk(d.key))) }))},
	{"HS256 by nothing", false, claimed("HS256", hmacBy(func(*device) []byte { return nil }))},
	{"ES384", false, claimed("ES384", right)},
	{"ES512", false, claimed("ES512", right)},
	{"PS256", false, claimed("PS256", right)},
	{"RS384", false, claimed("RS384", right)},
	{"EdDSA", false, claimed("EdDSA", right)},
	{"es256", false, claimed("es256", right)},
	{"the other algorithm", false, func(c *scene, d *device) string {
		other := map[string]string{"ES256": "RS256", "RS256": "ES256"}[algorithm(d.key)]
		return claimed(other, right)(c, d)
	}},
	{"no type", false, with("typ", nil)},
	{"type JWT", false, with("typ", "JWT")},
	{"type in capitals", false, with("typ", "DBSC+JWT")},
	{"type that is a list", false, with("typ", []string{typ})},
	{"crit", false, with("crit", []string{"exp"}, "exp", 1)},
	{"crit of nothing", false, with("crit", []string{})},
	{"crit b64", false, with("crit", []string{"b64"}, "b64", false)},
	{"b64", false, with("b64", false)},
	{"b64 true", false, with("b64", true)},
	{"an algorithm twice", false, func(c *scene, d *device) string {
		h := object("alg", "none", "alg", algorithm(d.key), "typ", typ, "jwk", jwk(d.key))
		return sign(c.t, d.key, h, map[string]any{"jti": c.answers(d)})
	}},
	{"a type twice", false, func(c *scene, d *device) string {
		h := object("alg", algorithm(d.key), "typ", typ, "typ", typ, "jwk", jwk(d.key))
		return sign(c.t, d.key, h, map[string]any{"jti": c.answers(d)})
	}},
	{"a header that is no object", false, func(c *scene, d *device) string {
		return sign(c.t, d.key, `["alg","ES256"]`, map[string]any{"jti": c.answers(d)})
	}},
	{"more behind the header", false, func(c *scene, d *device) string {
		return sign(c.t, d.key, mustJSON(c.header(d, d.key))+"{}", map[string]any{"jti": c.answers(d)})
	}},
	{"two challenges", false, saying(func(_ *scene, challenge string) any { return object("jti", "other", "jti", challenge) })},
	{"a challenge in capitals", false, saying(func(_ *scene, challenge string) any { return object("JTI", challenge) })},
	{"no challenge", false, saying(func(*scene, string) any { return map[string]any{} })},
	{"a challenge that is a list", false, saying(func(_ *scene, challenge string) any { return map[string]any{"jti": []string{challenge}} })},
	{"a challenge that is a number", false, saying(func(*scene, string) any { return map[string]any{"jti": 1} })},
	{"a challenge that is null", false, saying(func(*scene, string) any { return `{"jti":null}` })},
	{"the challenge alone", false, saying(func(_ *scene, challenge string) any { return challenge })},
	{"more behind the payload", false, saying(func(_ *scene, challenge string) any { return object("jti", challenge) + "x" })},
	{"another spelling", false, saying(func(c *scene, challenge string) any {
		spellings := []string{challenge + "=", challenge + "\n", "\r" + challenge, " " + challenge, challenge[:20] + "\n" + challenge[20:], strings.ToLower(challenge)}
		if s := spelled(challenge); s != challenge {
			spellings = append(spellings, s)
		}
		return map[string]any{"jti": spellings[c.IntN(len(spellings))]}
	})},
	{"a challenge that nobody made", false, saying(func(c *scene, challenge string) any {
		raw, err := base64.RawURLEncoding.DecodeString(challenge)
		if err != nil {
			panic(err)
		}
		switch c.IntN(4) {
		case 0:
			raw[c.IntN(len(raw))] ^= 1 << c.IntN(8)
		case 1:
			binary.BigEndian.PutUint64(raw, uint64(time.Now().UnixMilli()+int64(1+c.IntN(1000))))
		case 2:
			raw = raw[:c.IntN(len(raw))]
		default:
			raw = append(raw, byte(c.IntN(256)))
		}
		return map[string]any{"jti": b64(raw)}
	})},
	{"the other's challenge", false, func(c *scene, d *device) string {
		other := c.ec
		if other == d {
			other = []*device{c.rs, c.fresh}[c.IntN(2)]
		}
		return sign(c.t, d.key, c.header(d, d.key), map[string]any{"jti": c.answers(other)})
	}},
	{"a signature of zeros", false, resigned(func(_ *scene, s []byte) []byte { return make([]byte, len(s)) })},
	{"a signature of ones", false, resigned(func(_ *scene, s []byte) []byte { return bytes.Repeat([]byte{0xff}, len(s)) })},
	{"a signature with a byte more", false, resigned(func(c *scene, s []byte) []byte {
		if c.IntN(2) == 0 {
			return append([]byte{0}, s...)
		}
		return append(s, 0)
	})},
	{"its halves in another order", false, resigned(func(_ *scene, s []byte) []byte { return slices.Concat(s[len(s)/2:], s[:len(s)/2]) })},
	{"r or s of the order and more", false, resigned(func(c *scene, s []byte) []byte {
		n := elliptic.P256().Params().N
		half := s[:32]
		if c.IntN(2) == 0 && len(s) == 64 {
			half = s[32:]
		}
		n.FillBytes(half)
		return s
	})},
	{"ASN.1", false, func(c *scene, d *device) string {
		input := strings.Join(c.parts(d)[:2], ".")
		sum := sha256.Sum256([]byte(input))
		der, err := d.key.Sign(rand.Reader, append(sum[:31], 0), crypto.SHA256)
		if k, is := d.key.(*ecdsa.PrivateKey); is {
			der, err = ecdsa.SignASN1(rand.Reader, k, sum[:])
		}
		if err != nil {
			panic(err)
		}
		return input + "." + b64(der)
	}},
}
