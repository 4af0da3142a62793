package dbsc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mist-contrib/session"
)

// FuzzField: the value is one of the plain characters, as it stands there, and quotes are
// all that is taken off.
func FuzzField(f *testing.F) {
	for _, seed := range []string{"", "a", `"a"`, `"`, `""`, ` "a" `, "a b", `a"`, "a,b", `"a";b=1`, "\x00", "a.b-c_D", strings.Repeat("a", maxField), strings.Repeat("a", maxField+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		const name = "Secure-Session-Response"
		value, ok := field(http.Header{name: {line}}, name)
		if ok {
			bare := strings.Trim(line, " \t")
			if value == "" || strings.ContainsAny(value, "\", ;\\\x00\r\n") || len(value) > maxField || bare != value && bare != `"`+value+`"` {
				t.Errorf("got %q of %q", value, line)
			}
		}
		if again, ok := field(http.Header{name: {line, line}}, name); ok {
			t.Errorf("two lines: got %q", again)
		}
	})
}

// signedBy makes a proof by the library, which is not how the tests of the handler do it.
func signedBy(tb testing.TB, key crypto.Signer, challenge string, embed bool) string {
	tb.Helper()
	options := (&jose.SignerOptions{EmbedJWK: embed}).WithType(proofType)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		tb.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{"jti":"` + challenge + `"}`))
	if err != nil {
		tb.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return compact
}

// ephemeral returns a key and the device that it is of.
func ephemeral(tb testing.TB) (*ecdsa.PrivateKey, *device) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := newDevice(&key.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	return key, d
}

// FuzzRegister: what is taken is a proof by the key that it brings, and the device can be
// read again.
func FuzzRegister(f *testing.F) {
	key, _ := ephemeral(f)
	const challenge = "5lAzmGwSi2vVnsXt-W3eSEZyJKFZ1eXqBwhZ0VxoLcM"
	seeds(f, signedBy(f, key, challenge, true), signedBy(f, key, challenge, false))
	f.Fuzz(func(t *testing.T, proof string) {
		stored, err := register(proof, challenge)
		if err != nil {
			if stored != "" || !errors.Is(err, ErrProof) {
				t.Errorf("got %v", err)
			}
			return
		}
		d, err := parseDevice(stored)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(d.key); err != nil || len(stored) > 1024 {
			t.Errorf("got a device of %d bytes, %v", len(stored), err)
		}
	})
}

// FuzzProof: nothing is a proof by a device but what it has signed, to the letter. The key
// and the challenge are the same in all processes of a fuzzer, whose signatures differ.
func FuzzProof(f *testing.F) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	d := &device{key: &key.PublicKey}
	now := time.UnixMilli(1_790_000_000_000)
	const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	made := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	made = append(made, make([]byte, randomSize)...)
	challenge := base64.RawURLEncoding.EncodeToString(append(made, d.code(made, id)...))
	good, embedded := signedBy(f, key, challenge, false), signedBy(f, key, challenge, true)
	seeds(f, good, embedded)
	signed := []string{good[:strings.LastIndexByte(good, '.')], embedded[:strings.LastIndexByte(embedded, '.')]}
	f.Fuzz(func(t *testing.T, proof string) {
		got, err := d.verifyRefresh(proof, id, now)
		switch {
		case err == nil && !slices.Contains(signed, proof[:strings.LastIndexByte(proof, '.')]):
			t.Errorf("took %q", proof)
		case err == nil && got != challenge, err != nil && (got != "" || !errors.Is(err, ErrProof)):
			t.Errorf("got %v", err)
		}
	})
}

// seeds adds proofs, and what they are near to.
func seeds(f *testing.F, proofs ...string) {
	f.Helper()
	for _, proof := range proofs {
		f.Add(proof)
		f.Add(proof[1:])
		f.Add(proof + "A")
		f.Add(strings.ReplaceAll(proof, ".", "..."))
		p := strings.Split(proof, ".")
		f.Add(p[0] + "." + p[1] + ".")
		f.Add(p[0] + ".." + p[2])
	}
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("")
}

// FuzzDevice: a store's bytes are a device or an error, and of a device they are all.
func FuzzDevice(f *testing.F) {
	_, d := ephemeral(f)
	stored, err := d.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add(stored[:len(stored)-1])
	f.Add(stored + "\x00")
	f.Add(version)
	f.Add("")
	f.Add("2" + stored[1:])
	f.Fuzz(func(t *testing.T, stored string) {
		d, err := parseDevice(stored)
		if err != nil {
			return
		}
		again, err := d.encode()
		if err != nil {
			t.Fatal(err)
		}
		same, err := parseDevice(again)
		if err != nil || same.secret != d.secret || !same.key.(interface{ Equal(x crypto.PublicKey) bool }).Equal(d.key) {
			t.Errorf("another device came back, %v", err)
		}
	})
}

// FuzzChallenge: no text is a challenge but those that were made, for their session, in
// their time.
func FuzzChallenge(f *testing.F) {
	_, d := ephemeral(f)
	_, other := ephemeral(f)
	now := time.UnixMilli(1_790_000_000_000)
	good := d.challenge("one", now)
	f.Add(good)
	f.Add(good + "\n")
	f.Add(other.challenge("one", now))
	f.Add(d.challenge("two", now))
	f.Fuzz(func(t *testing.T, challenge string) {
		if d.issued(challenge, "one", now) && challenge != good {
			t.Errorf("took %q", challenge)
		}
	})
	for _, c := range []struct {
		age  time.Duration
		want bool
	}{
		{0, true},
		{session.ChallengeLife - time.Millisecond, true},
		{session.ChallengeLife, false},
		{24 * time.Hour, false},
		{time.Millisecond - session.ChallengeLife, true}, // the clock was set back
		{-session.ChallengeLife, false},
	} {
		if got := d.issued(good, "one", now.Add(c.age)); got != c.want {
			f.Errorf("a challenge of %v: got %t", c.age, got)
		}
	}
	if d.challenge("one", now) == good {
		f.Error("the same challenge came twice")
	}
}
