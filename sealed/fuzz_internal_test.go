package sealed

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
)

// FuzzPlain: no bytes that one of our keys sealed make the store panic. They are no
// session, or one that comes back the same.
func FuzzPlain(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(newState(randomFacts(r)).plain)
	}
	now := time.Now().UnixNano()
	f.Add(newState(facts{id: "id", created: now, rotated: now, seen: now, idle: int64(lifetime.Max), absolute: int64(lifetime.Max)}).plain)
	f.Add([]byte{})
	st := ready(f, 1)
	f.Fuzz(func(t *testing.T, plain []byte) {
		read, ok := readFacts(plain)
		if ok {
			if again, ok := readFacts(newState(read).plain); !ok || again != read {
				t.Errorf("got %+v, %t, want %+v", again, ok, read)
			}
		}
		s, err := st.Open(t.Context(), st.seal(plain, ""))
		if err != nil {
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			return
		}
		if !ok {
			t.Fatal("a session of bytes that cannot be read")
		}
		if err := s.Set(t.Context(), "k", "v"); err != nil && !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("Set: %v", err)
		}
		back, err := st.Open(t.Context(), session.Token(s))
		if err != nil {
			t.Fatalf("opened once more: %v", err)
		}
		want, _ := session.Describe(s)
		if got, _ := session.Describe(back); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		all, err := session.All(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for key := range all {
			a, errA := s.Get(t.Context(), key)
			b, errB := back.Get(t.Context(), key)
			if (a == nil) != (b == nil) || (errA == nil) != (errB == nil) {
				t.Errorf("a value is %t, %v, and then %t, %v", a != nil, errA, b != nil, errB)
			}
		}
	})
}

// FuzzOpen: nothing but the seal that the store made opens, and nothing makes it panic.
func FuzzOpen(f *testing.F) {
	st := ready(f, 1, 2)
	// The same in each process of the fuzzer, which a random nonce is not.
	with, nonce := &st.sealers[0], make([]byte, chacha20poly1305.NonceSizeX)
	plain := newState(facts{id: "id", created: 1}).plain
	genuine := version + with.id + encoding.EncodeToString(with.aead.Seal(nonce, nonce, plain, st.additionalData(with.id, "")))
	f.Add(genuine)
	f.Add(genuine[:minSeal])
	f.Add(genuine + "AAAA")
	f.Add(version + st.sealers[1].id + genuine[prefixLen:])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, ok := st.open(text, ""); ok != (text == genuine) {
			t.Errorf("opens: %t", ok)
		}
		if _, err := st.Open(t.Context(), text); !errors.Is(err, session.ErrNotFound) { // the genuine one is of 1970
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}
