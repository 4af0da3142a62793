package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// ready returns a store that has keys made of numbers.
func ready(tb testing.TB, numbers ...uint64) *Store {
	tb.Helper()
	st := new(Store)
	for _, n := range numbers {
		st.Keys = append(st.Keys, numbered(n))
	}
	if err := st.Check(); err != nil {
		tb.Fatal(err)
	}
	return st
}

func numbered(n uint64) []byte {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n))
	return sum[:]
}

// TestSealLen: a seal is as long as sealLen says, of any state, and opens.
func TestSealLen(t *testing.T) {
	t.Parallel()
	st := ready(t, 1)
	for n := 0; sealLen(n) <= maxSeal; n++ {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		seal := st.seal(plain, "session")
		if len(seal) != sealLen(n) {
			t.Fatalf("%d bytes: got a seal of %d, want %d", n, len(seal), sealLen(n))
		}
		if got, renew, ok := st.open(seal, "session"); !ok || renew || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: opens %t, to be renewed %t, the same %t", n, ok, renew, bytes.Equal(got, plain))
		}
	}
	if got := sealLen(0); got != minSeal {
		t.Errorf("of nothing: got %d, want %d", got, minSeal)
	}
}

// often returns n, or a twentieth under the race detector, which has nothing to find in a test
// of one goroutine.
func often(n int) int {
	if raced {
		return n / 20
	}
	return n
}

// TestNonces: no two seals of one state share a nonce, or anything else.
func TestNonces(t *testing.T) {
	t.Parallel()
	many := often(100_000)
	st := ready(t, 1)
	plain := newState(facts{id: "id"}).plain
	nonces, tails := make(map[string]bool, many), make(map[string]bool, many)
	for range many {
		raw, err := base64.RawURLEncoding.DecodeString(st.seal(plain, "session")[prefixLen:])
		if err != nil {
			t.Fatal(err)
		}
		nonces[string(raw[:chacha20poly1305.NonceSizeX])] = true
		tails[string(raw[chacha20poly1305.NonceSizeX:])] = true
	}
	if len(nonces) != many || len(tails) != many {
		t.Errorf("%d seals have %d nonces, and %d different remainders", many, len(nonces), len(tails))
	}
}

// TestRandomTokens: none opens that has the shape of a seal, nor the id of a key.
func TestRandomTokens(t *testing.T) {
	t.Parallel()
	many := often(1_000_000)
	st := ready(t, 1)
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	accepted, asked, raw := 0, 0, make([]byte, 256)
	for i := range many {
		for j := 0; j < len(raw); j += 8 {
			binary.LittleEndian.PutUint64(raw[j:], r.Uint64())
		}
		id := st.sealers[0].id
		if i%8 == 0 {
			id = encoding.EncodeToString(raw[:keyIDSize])
		}
		token := version + id + encoding.EncodeToString(raw[:overhead+r.IntN(len(raw)-overhead)])
		if !st.ValidToken(token) {
			t.Fatal("a token has not the shape of a seal")
		}
		asked++
		if _, err := st.Open(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			accepted++
		}
	}
	if accepted != 0 || asked != many {
		t.Errorf("%d of %d accepted", accepted, asked)
	}
}

// TestCollidingIDs: two keys whose ids are the same both open what they sealed.
func TestCollidingIDs(t *testing.T) {
	seen := make(map[string]uint64)
	for n := uint64(0); ; n++ {
		s, err := newSealer(numbered(n))
		if err != nil {
			t.Fatal(err)
		}
		twin, ok := seen[s.id]
		if !ok {
			seen[s.id] = n
			continue
		}
		both, other := ready(t, n, twin), ready(t, twin, n)
		alone := ready(t, n)
		for name, st := range map[string]*Store{"both": both, "the other first": other} {
			for sealedBy, by := range map[string]*Store{"the first": both, "the second": other} {
				_, renew, ok := st.open(by.seal([]byte("state"), "session"), "session")
				if !ok || renew != (st != by) {
					t.Errorf("%s open what %s sealed: got %t, to be renewed: %t", name, sealedBy, ok, renew)
				}
			}
		}
		if _, _, ok := alone.open(other.seal([]byte("state"), "session"), "session"); ok {
			t.Error("a key opens what another key of its id sealed")
		}
		return
	}
}

// TestIDOfKey: the id of a key tells nothing about the key that seals.
func TestIDOfKey(t *testing.T) {
	for n := range uint64(100) {
		s, err := newSealer(numbered(n))
		if err != nil {
			t.Fatal(err)
		}
		id, err := encoding.DecodeString(s.id)
		if err != nil || len(s.id) != keyIDLen || len(id) != keyIDSize || bytes.Contains(numbered(n), id) {
			t.Errorf("key %d: an id of %d characters, %d bytes, in the key: %t, %v", n, len(s.id), len(id), bytes.Contains(numbered(n), id), err)
		}
	}
}

// randomFacts returns facts of a session: any that a store can make, and others.
func randomFacts(r *rand.Rand) facts {
	text := func(most int, from string) string {
		b := make([]byte, 1+r.IntN(most))
		for i := range b {
			if b[i] = byte(r.Uint64()); from != "" {
				b[i] = from[r.IntN(len(from))]
			}
		}
		return string(b)
	}
	when := func() int64 {
		if r.IntN(4) == 0 {
			return int64(r.Uint64())
		}
		return r.Int64N(4e18)
	}
	const ids = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	u := uuid.Must(uuid.FromBytes(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, r.Uint64()), r.Uint64())))
	f := facts{
		id: []string{
			u.String(), strings.ToUpper(u.String()), strings.ReplaceAll(u.String(), "-", ""), text(1, ids), text(128, ids), strings.Repeat("a", 128),
		}[r.IntN(6)],
		persistent: r.IntN(2) == 0,
		created:    when(), rotated: when(), seen: when(), idle: when(), absolute: when(),
	}
	if r.IntN(2) == 0 {
		f.user, f.level, f.authenticated = text(256, ""), session.Level(r.IntN(256)), when()
	}
	for range r.IntN(6) {
		field, err := values.AppendField([]byte(f.values), text(20, ""), text(50, ""))
		if err != nil {
			panic(err)
		}
		f.values = values.Block(field)
	}
	return f
}

// TestFacts: what is read is what was written, to the bit.
func TestFacts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range often(20_000) {
		f := randomFacts(r)
		plain := newState(f).plain
		if got, ok := readFacts(plain); !ok || got != f {
			t.Fatalf("got %+v, %t, want %+v", got, ok, f)
		}
		// Whatever is cut off, nothing but values can be missing.
		for n := range len(plain) - len(f.values) {
			if _, ok := readFacts(plain[:n]); ok {
				t.Fatalf("%+v: %d of %d bytes are facts", f, n, len(plain))
			}
		}
	}
}

// TestFactsRefused: bytes that a later version may write are no session.
func TestFactsRefused(t *testing.T) {
	good := newState(facts{id: "id", user: "alice", level: 1, created: 1}).plain
	anonymous := newState(facts{id: "id", created: 1}).plain
	unnamed := append([]byte{flagUser}, anonymous[1:]...)
	unnamed = append(unnamed, 0, 9, 0) // no user, of a level
	for name, plain := range map[string][]byte{
		"nothing":                  {},
		"a flag unknown":           append([]byte{good[0] | 1<<3}, good[1:]...),
		"flags unknown":            append([]byte{good[0] | 1<<7}, good[1:]...),
		"a user unnamed":           unnamed,
		"more than facts":          append(bytes.Clone(good), 1),
		"half a value":             append(bytes.Clone(good), 1, 'k', 2, 3),
		"no id":                    append([]byte{0, 0}, make([]byte, 5)...),
		"an id of a dot":           append([]byte{0, 1, '.'}, make([]byte, 5)...),
		"a number of over 64 bits": append(append(bytes.Clone(anonymous[:4]), bytes.Repeat([]byte{0xff}, 10)...), make([]byte, 5)...),
		"text longer than all":     {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if got, ok := readFacts(plain); ok {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
