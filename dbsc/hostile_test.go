package dbsc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"flag"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

var proofs = flag.Int("proofs", 4000, "how many hostile proofs are sent")

// A scene is what hostile proofs are made for: two devices, a login that no device has
// registered yet, and what an attacker may have.
type scene struct {
	*mathrand.Rand
	t      *testing.T
	site   *site
	ec, rs *device // of ES256 and of RS256
	fresh  *device
	mine   crypto.Signer // of the attacker
	used   map[*device]string
	signed map[*device][]string // proofs of the devices that nobody has sent
	weak   []crypto.Signer
}

func newScene(t *testing.T, seed uint64) *scene {
	t.Helper()
	s := newSite(&memory.Store{})
	c := &scene{
		Rand: mathrand.New(mathrand.NewPCG(seed, seed)), t: t, site: s,
		ec: bound(t, s, "ada"), rs: newDevice(t, s, "grace"), fresh: newDevice(t, s, "mary"), mine: key256(t),
		used: map[*device]string{}, signed: map[*device][]string{},
	}
	c.rs.key = rsaKey()
	c.rs.register(t).want(t, http.StatusOK, true)
	for _, d := range []*device{c.ec, c.rs} {
		c.used[d] = proof(t, d.key, d.challenge)
		d.prove(t).want(t, http.StatusOK, true)
		for range 8 {
			d.ask(t)
			c.signed[d] = append(c.signed[d], proof(t, d.key, d.challenge))
		}
	}
	c.signed[c.fresh] = []string{registration(t, c.fresh.key, c.fresh.offered), registration(t, c.mine, c.fresh.offered)}
	for _, k := range []struct{ bits, e int }{
		{512, 65537}, {1024, 65537}, {2040, 65537}, {4352, 65537}, {2048, 1}, {4096, 1}, {8192, 1}, {2048, 2},
	} {
		c.weak = append(c.weak, oddRSA(t, k.bits, k.e))
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.weak = append(c.weak, key)
	}
	s.take()
	return c
}

func key256(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// victim is one of the devices.
func (c *scene) victim() *device {
	if c.IntN(8) == 0 { // RSA takes long to sign
		return c.rs
	}
	return c.ec
}

// TestHostileProofs sends proofs that no device would send, for a refresh or a
// registration, and each way in turn. None is accepted, and all devices go on.
//
//	go test ./dbsc -run TestHostileProofs -proofs 100000
func TestHostileProofs(t *testing.T) {
	seed := mathrand.Uint64()
	c := newScene(t, seed)
	for i := range *proofs {
		w := ways[i%len(ways)]
		d, registers := c.victim(), w.registers
		if registers {
			d = c.fresh
		}
		sent := w.make(c, d)
		if sent == "" {
			t.Fatalf("%s made no proof", w.name)
		}
		if code, accepted := c.send(d, sent, registers); accepted {
			t.Fatalf("%s was accepted with %d, seed %d, proof %d", w.name, code, seed, i)
		} else if code >= http.StatusInternalServerError {
			t.Fatalf("%s: got %d, seed %d, proof %d", w.name, code, seed, i)
		}
	}
	for _, e := range c.site.take() {
		if e.Kind == session.EventBound || e.Kind == session.EventProved || e.Kind == session.EventFailed {
			t.Fatalf("got an event %s, seed %d", e.Kind, seed)
		}
	}
	// The same proofs are good where nothing is wrong with them.
	for _, d := range []*device{c.ec, c.rs} {
		d.ask(t)
		if _, accepted := c.send(d, with()(c, d), false); !accepted {
			t.Errorf("a good proof was refused, seed %d", seed)
		}
		d.ask(t)
		d.prove(t).want(t, http.StatusOK, true)
		if who := c.site.who(t, d.token); who == "nobody" {
			t.Errorf("a device was logged out, seed %d", seed)
		}
	}
	if _, accepted := c.send(c.fresh, with()(c, c.fresh), true); !accepted {
		t.Errorf("a good registration was refused, seed %d", seed)
	}
}

// send sends a proof to the handler, and reports whether it was of use.
func (c *scene) send(d *device, sent string, registers bool) (status int, accepted bool) {
	req := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, "/dbsc/refresh", nil)
	if registers {
		req.URL.Path = "/dbsc/register"
		req.AddCookie(&http.Cookie{Name: cookieName, Value: d.token})
	} else {
		req.URL.RawQuery = "session=" + d.id
		req.Header.Set(headerSession, cookieName)
	}
	req.Header[headerProof] = []string{sent}
	rec := httptest.NewRecorder()
	c.site.devices.ServeHTTP(rec, req)
	return rec.Code, rec.Header()["Set-Cookie"] != nil || strings.Contains(rec.Body.String(), "credentials") || rec.Code == http.StatusOK
}

// An oddKey is an RSA key that crypto/rsa would not make: many small primes, so that it
// takes no time, and any exponent.
type oddKey struct{ n, e, d *big.Int }

func oddRSA(t *testing.T, bits, e int) *oddKey {
	t.Helper()
	n, phi, one := big.NewInt(1), big.NewInt(1), big.NewInt(1)
	k := &oddKey{e: big.NewInt(int64(e))}
	for n.BitLen() < bits {
		size := min(256, bits-n.BitLen()+1)
		p, err := rand.Prime(rand.Reader, max(size, 8))
		if err != nil {
			t.Fatal(err)
		}
		if m := new(big.Int).Sub(p, one); new(big.Int).Mod(m, big.NewInt(65537)).Sign() != 0 {
			n.Mul(n, p)
			phi.Mul(phi, m)
		}
	}
	k.n, k.d = n, new(big.Int).ModInverse(k.e, phi)
	if k.d == nil {
		k.d = one // an even exponent has no inverse
	}
	return k
}

// Public is what the key is not: crypto/rsa would refuse it.
func (k *oddKey) Public() crypto.PublicKey { return nil }

// Sign signs as RS256 does (RFC 8017, 8.2.1).
func (k *oddKey) Sign(_ io.Reader, sum []byte, _ crypto.SignerOpts) ([]byte, error) {
	size := (k.n.BitLen() + 7) / 8
	em := make([]byte, size)
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, sum...)
	em[1] = 1
	for i := 2; i < size-len(info)-1; i++ {
		em[i] = 0xff
	}
	copy(em[size-len(info):], info)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.n).FillBytes(make([]byte, size)), nil
}

// public is the JWK of any key.
func public(key crypto.Signer) map[string]any {
	if k, is := key.(*oddKey); is {
		return map[string]any{"kty": "RSA", "n": b64(k.n.Bytes()), "e": b64(k.e.Bytes())}
	}
	return jwk(key)
}

// object makes JSON of keys and values, in this order, also of a key that comes twice.
func object(pairs ...any) string {
	var fields []string
	for ; len(pairs) > 0; pairs = pairs[2:] {
		fields = append(fields, mustJSON(pairs[0])+":"+mustJSON(pairs[1]))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
