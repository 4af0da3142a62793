package sealed_test

import (
	"context"
	"encoding/base64"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TestForged: no text opens that the store did not make, whatever seals it is made of.
func TestForged(t *testing.T) {
	st := keyed("a", "b")
	st.Purpose = "test"
	c := &client{name: "session"}
	// Of each length there is modulo three, so that base64 leaves 0, 2 and 4 bits unused.
	var seals []string
	for n := range 4 {
		seals = append(seals, begun(t, c.request(t.Context()), st, map[string]any{"k": strings.Repeat("v", n)}))
	}
	s, err := st.Login(c.request(t.Context()), "", session.Login{User: "alice", ID: "id"})
	seals = append(seals, session.Token(c.take(t, s, err)))
	genuine := make(map[string]bool)
	for _, seal := range seals {
		genuine[seal] = true
		if _, err := st.Open(c.request(t.Context()), seal); err != nil {
			t.Fatalf("a genuine one: got %v", err)
		}
	}
	for name, forge := range forgeries() {
		t.Run(name, func(t *testing.T) {
			tried, accepted := 0, 0
			for i, seal := range seals {
				for forged := range forge(seal, seals[(i+1)%len(seals)]) {
					if genuine[forged] {
						continue
					}
					tried++
					s, err := st.Open(c.request(t.Context()), forged)
					if s != nil || !errors.Is(err, session.ErrNotFound) {
						accepted++
					}
					if _, err := st.Rotate(c.request(t.Context()), forged, 0); err == nil {
						accepted++
					}
					if _, err := st.Login(c.request(t.Context()), forged, session.Login{User: "alice"}); forged != "" && err == nil {
						accepted++
					}
				}
			}
			if tried == 0 || accepted != 0 {
				t.Errorf("%d of %d accepted", accepted, tried)
			}
		})
	}
}

// forgeries returns ways to make texts from two seals of a store.
func forgeries() map[string]func(seal, other string) iter.Seq[string] {
	each := func(forge func(seal string, i int) []string) func(seal, _ string) iter.Seq[string] {
		return func(seal, _ string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for i := range len(seal) {
					for _, forged := range forge(seal, i) {
						if !yield(forged) {
							return
						}
					}
				}
			}
		}
	}
	insert := func(what string) func(seal, _ string) iter.Seq[string] {
		return each(func(seal string, i int) []string {
			return []string{seal[:i] + what + seal[i:], seal[:i] + what + seal[i+1:], seal + what}
		})
	}
	return map[string]func(seal, other string) iter.Seq[string]{
		"bits of the text": each(func(seal string, i int) (out []string) {
			for bit := range 8 {
				b := []byte(seal)
				b[i] ^= 1 << bit
				out = append(out, string(b))
			}
			return out
		}),
		"bits of the bytes": each(func(seal string, i int) (out []string) {
			raw, err := base64.RawURLEncoding.DecodeString(seal[5:])
			if err != nil {
				panic(err)
			}
			for bit := range 8 {
				if i < len(raw) {
					raw[i] ^= 1 << bit
					out = append(out, seal[:5]+base64.RawURLEncoding.EncodeToString(raw))
					raw[i] ^= 1 << bit
				}
			}
			return out
		}),
		"other characters": each(func(seal string, i int) (out []string) {
			for _, r := range alphabet {
				out = append(out, seal[:i]+string(r)+seal[i+1:])
			}
			return out
		}),
		"halves joined": func(seal, other string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for i := range len(seal) + 1 {
					for j := range len(other) + 1 {
						// Where the lengths are those of a half, or the text is as long as the first.
						if (i == j || i+len(other)-j == len(seal)) && !yield(seal[:i]+other[j:]) {
							return
						}
					}
				}
				yield(seal + other)
			}
		},
		"truncated": each(func(seal string, i int) []string {
			return []string{seal[:i], seal[i:][1:], seal[:5] + seal[5+i*(len(seal)-5)/len(seal):]}
		}),
		"twice":                 each(func(seal string, i int) []string { return []string{seal + seal[i:], seal[:i] + seal} }),
		"padding":               insert("="),
		"two of padding":        insert("=="),
		"a carriage return":     insert("\r\n"),
		"a line feed":           insert("\n"),
		"a space":               insert(" "),
		"a zero":                insert("\x00"),
		"a dot":                 insert("."),
		"the other alphabet, +": insert("+"),
		"the other alphabet, /": insert("/"),
		"extended": func(seal, _ string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for _, r := range alphabet {
					if !yield(seal+string(r)) || !yield(string(r)+seal) || !yield(seal+"AA"+string(r)) {
						return
					}
				}
			}
		},
		"another version": func(seal, _ string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for b := range 256 {
					if !yield(string([]byte{byte(b)})+seal[1:]) || !yield(string([]byte{byte(b)})+seal) {
						return
					}
				}
			}
		},
		"another id of a key": func(seal, _ string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for _, name := range []string{"b", "unknown"} {
					if !yield(idOfKey(name) + seal[5:]) {
						return
					}
				}
				for i := range 1000 {
					if !yield(seal[:1] + base64.RawURLEncoding.EncodeToString([]byte{byte(i), byte(i >> 8), 7}) + seal[5:]) {
						return
					}
				}
			}
		},
	}
}

// idOfKey returns how seals of a key begin.
func idOfKey(name string) string {
	s, err := keyed(name).Generate(context.Background(), "id")
	if err != nil {
		panic(err)
	}
	return session.Token(s)[:5]
}

// TestOtherAlphabet: standard base64 of a seal's own bytes opens nothing.
func TestOtherAlphabet(t *testing.T) {
	st := keyed("a")
	tried := 0
	for range 100 {
		seal := begun(t, t.Context(), st, nil)
		standard := seal[:5] + strings.NewReplacer("-", "+", "_", "/").Replace(seal[5:])
		if standard == seal {
			continue
		}
		tried++
		open(t, st, standard, "standard base64", session.ErrNotFound)
	}
	if tried == 0 {
		t.Error("no seal of 100 had a character that differs")
	}
}

// TestBound: a seal opens under its own name and purpose alone, wherever one ends
// and the other begins.
func TestBound(t *testing.T) {
	const text = "abcabc"
	type binding struct{ name, purpose string }
	var bindings []binding
	for i := range len(text) + 1 {
		bindings = append(bindings, binding{text[:i], text[i:]})
	}
	bindings = append(bindings, binding{"", ""}, binding{"session", "shop"}, binding{"Session", "shop"}, binding{"session", "Shop"},
		binding{"shop", "session"}, binding{"session\x04shop", ""}, binding{"", "session\x04shop"}, binding{"session\x04", "shop"},
		binding{"n", strings.Repeat("p", 256)}, binding{strings.Repeat("p", 256), "n"})
	store := func(b binding) *sealed.Store {
		st := keyed("a")
		st.Purpose = b.purpose
		return st
	}
	for _, made := range bindings {
		seal := begun(t, (&client{name: made.name}).request(t.Context()), store(made), nil)
		for _, used := range bindings {
			_, err := store(used).Open((&client{name: used.name}).request(t.Context()), seal)
			if (err == nil) != (made == used) || err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Errorf("made for %.20q, opened for %.20q: got %v", made, used, err)
			}
		}
		// The store used alone knows no name.
		_, err := store(made).Open(t.Context(), seal)
		if (err == nil) != (made.name == "") {
			t.Errorf("made for %.20q, opened alone: got %v", made, err)
		}
	}
}

// TestShape: ValidToken tells what cannot be a seal.
func TestShape(t *testing.T) {
	shortest := "1" + strings.Repeat("A", 4+54) // of 40 bytes, the nonce and the tag
	for _, tt := range []struct {
		name, token string
		want        bool
	}{
		{"nothing", "", false},
		{"the shortest", shortest, true},
		{"too short", shortest[:len(shortest)-1], false},
		{"the longest", "1" + strings.Repeat("_", 4095), true},
		{"too long", "1" + strings.Repeat("-", 4096), false},
		{"another version", "2" + shortest[1:], false},
		{"no version", shortest[1:] + "1", false},
		{"of a store on the server", "f340b261-f217-4d02-8449-ce4f1ddcf523.FM4PPB7VNQP6QD77MITXBCCYMK", false},
	} {
		if got := keyed("a").ValidToken(tt.token); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
	for b := range 256 {
		want := strings.ContainsRune(alphabet, rune(b)) && b < 128
		for _, i := range []int{1, 5, len(shortest) - 1} {
			token := []byte(shortest)
			token[i] = byte(b)
			if got := keyed("a").ValidToken(string(token)); got != want {
				t.Errorf("%#x at %d: got %t, want %t", b, i, got, want)
			}
		}
	}
	if s := begun(t, t.Context(), keyed("a"), nil); !keyed("b").ValidToken(s) {
		t.Error("a seal has not the shape of one")
	}
}
