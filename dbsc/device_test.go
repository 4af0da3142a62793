package dbsc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// What a browser sends and gets.
const (
	headerProof        = "Secure-Session-Response"
	headerSession      = "Sec-Secure-Session-Id"
	headerChallenge    = "Secure-Session-Challenge"
	headerRegistration = "Secure-Session-Registration"
)

// A device is a browser with a key of its own: it does what Chromium does, and what it
// would never do.
type device struct {
	site      *site
	key       crypto.Signer
	token     string // in its cookie
	offered   string // the challenge of the registration
	id        string // of the bound session
	challenge string // for the next refresh
}

// newDevice returns a browser with a fresh P-256 key that has logged in.
func newDevice(t *testing.T, s *site, user string) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{site: s, key: key}
	d.login(t, user)
	return d
}

// bound is newDevice, and its session is bound.
func bound(t *testing.T, s *site, user string) *device {
	t.Helper()
	d := newDevice(t, s, user)
	if a := d.register(t); a.status != http.StatusOK {
		t.Fatalf("registration: got %d", a.status)
	}
	return d
}

// clone is the same browser, for what it could do otherwise.
func (d *device) clone() *device {
	other := *d
	return &other
}

var offer = regexp.MustCompile(`^\(ES256 RS256\);path="/dbsc/register";challenge="([\w-]{43})"$`)

func (d *device) login(t *testing.T, user string) {
	t.Helper()
	d.take(t, d.site.ask(t, http.MethodPost, "/login?user="+user, d.token))
}

// take keeps what the answer to a login says.
func (d *device) take(t *testing.T, a answer) {
	t.Helper()
	d.token = a.set(t)
	found := offer.FindStringSubmatch(strings.Join(a.header.Values(headerRegistration), "\n"))
	if d.token == "" || found == nil {
		t.Fatalf("the login gave a token: %t, and offered a binding: %t", d.token != "", found != nil)
	}
	d.offered = found[1]
}

// register answers the offer of the login.
func (d *device) register(t *testing.T) answer {
	t.Helper()
	a := d.site.ask(t, http.MethodPost, "/dbsc/register", d.token, headerProof, registration(t, d.key, d.offered))
	d.note(t, a)
	return a
}

var challenged = regexp.MustCompile(`^"([\w-]{43})";id="` + cookieName + `"$`)

// note keeps the token, the session and the challenge of an answer.
func (d *device) note(t *testing.T, a answer) {
	t.Helper()
	if token := a.set(t); token != "" {
		d.token = token
	}
	if values := a.header.Values(headerChallenge); len(values) > 0 {
		found := challenged.FindStringSubmatch(strings.Join(values, "\n"))
		if found == nil {
			t.Fatal("the challenge is malformed")
		}
		d.challenge = found[1]
		if d.id == "" {
			d.id = idOf(d.token)
		}
	}
}

// ask asks for a challenge, without the cookie.
func (d *device) ask(t *testing.T) answer {
	t.Helper()
	a := d.site.ask(t, http.MethodPost, refreshOf(d.id), "", headerSession, cookieName)
	d.note(t, a)
	return a
}

// prove answers the challenge, without the cookie.
func (d *device) prove(t *testing.T) answer {
	t.Helper()
	a := d.send(t, proof(t, d.key, d.challenge))
	d.note(t, a)
	return a
}

// send sends a proof, and keeps nothing of the answer.
func (d *device) send(t *testing.T, proof string) answer {
	t.Helper()
	return d.site.ask(t, http.MethodPost, refreshOf(d.id), "", headerSession, cookieName, headerProof, proof)
}

// stopped reports whether an answer ends the binding in the browser.
func stopped(a answer) bool {
	return a.status == http.StatusOK && len(a.cookies) == 0 && a.body == `{"continue":false,"session_identifier":"`+cookieName+`"}`
}

// refreshOf is where the device of a session refreshes it.
func refreshOf(id string) string { return "/dbsc/refresh?session=" + id }

// registration makes the proof that brings its key.
func registration(tb testing.TB, key crypto.Signer, challenge string) string {
	tb.Helper()
	return sign(tb, key, map[string]any{"alg": algorithm(key), "typ": "dbsc+jwt", "jwk": jwk(key)}, map[string]any{"jti": challenge})
}

// proof makes the proof of a refresh.
func proof(tb testing.TB, key crypto.Signer, challenge string) string {
	tb.Helper()
	return sign(tb, key, map[string]any{"alg": algorithm(key), "typ": "dbsc+jwt"}, map[string]any{"jti": challenge})
}

func algorithm(key crypto.Signer) string {
	if _, is := key.(*rsa.PrivateKey); is {
		return "RS256"
	}
	return "ES256"
}

// jwk is the public key in JSON (RFC 7518, 6).
func jwk(key crypto.Signer) map[string]any {
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "crv": k.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	}
	panic("a key of another kind")
}

// sign makes a JWS of a header and a payload, each text or made JSON of.
func sign(tb testing.TB, key crypto.Signer, header, payload any) string {
	tb.Helper()
	input := b64(text(tb, header)) + "." + b64(text(tb, payload))
	return input + "." + b64(signature(tb, key, input))
}

func text(tb testing.TB, v any) []byte {
	tb.Helper()
	if s, is := v.(string); is {
		return []byte(s)
	}
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// signature is that of ES256 (RFC 7518, 3.4), for any curve, or of RS256.
func signature(tb testing.TB, key crypto.Signer, input string) []byte {
	tb.Helper()
	sum := sha256.Sum256([]byte(input))
	if k, is := key.(*ecdsa.PrivateKey); is {
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			tb.Fatal(err)
		}
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	out, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// rsaKey is one for all tests, as it takes long to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func key384(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
