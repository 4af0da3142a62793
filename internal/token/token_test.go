package token_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mist-contrib/session/internal/token"
)

const (
	uuid   = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" // the shortest, 26
	valid  = uuid + "." + secret
)

// shape is the shape of a token, said once more in another language.
var shape = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,128}\.[A-Z2-7]{26,64}\z`)

var validTokens = []struct{ name, token string }{
	{"uuid and shortest secret", valid},
	{"id of one byte", "a." + secret},
	{"longest id", strings.Repeat("z", token.MaxID) + "." + secret},
	{"every character of an id", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_." + secret},
	{"every character of a secret", uuid + ".ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"},
	{"longest secret", uuid + "." + strings.Repeat("7", 64)},
	{"longest token", strings.Repeat("-", token.MaxID) + "." + strings.Repeat("A", 64)},
}

var malformedTokens = []struct{ name, token string }{
	{"empty", ""},
	{"separator only", "."},
	{"separators only", strings.Repeat(".", 40)},
	{"no separator", uuid + secret},
	{"id only", uuid},
	{"id and separator only", uuid + "."},
	{"no id", "." + secret},
	{"dot before", "." + valid},
	{"dot after", valid + "."},
	{"two dots", uuid + ".." + secret},
	{"three parts", valid + "." + secret},
	{"dot in the id", "6ba7b810.9dad." + secret},
	{"dot in the secret", uuid + ".ABCDEFGHIJKLM.NOPQRSTUVWXYZ"},
	{"other separator", uuid + ":" + secret},
	{"id too long", strings.Repeat("z", token.MaxID+1) + "." + secret},
	{"secret a byte too short", uuid + "." + secret[1:]},
	{"secret a byte too long", uuid + "." + strings.Repeat("A", 65)},
	{"short id, secret as long as a token", "a." + strings.Repeat("A", token.Max-2)},
	{"a byte too long", strings.Repeat("z", token.MaxID+1) + "." + strings.Repeat("A", 64)},
	{"lower-case secret", uuid + "." + strings.ToLower(secret)},
	{"one lower-case letter", uuid + ".aBCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"0 in the secret", uuid + ".0BCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"1 in the secret", uuid + ".1BCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"8 in the secret", uuid + ".ABCDEFGHIJKLMNOPQRSTUVWXY8"},
	{"@ in the secret", uuid + ".@BCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"[ in the secret", uuid + ".ABCDEFGHIJKLMNOPQRSTUVWXY["},
	{"padding", valid + "======"},
	{"space before", " " + valid},
	{"space after", valid + " "},
	{"quoted", `"` + valid + `"`},
	{"NUL in the id", "a\x00b." + secret},
	{"NUL in the secret", uuid + ".\x00BCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"NUL after", valid + "\x00"},
	{"CR LF after", valid + "\r\n"},
	{"LF in the id", "a\nb." + secret},
	{"DEL in the id", "a\x7fb." + secret},
	{"slash", "../etc." + secret},
	{"colon", "session:1." + secret},
	{"glob", "*." + secret},
	{"question mark", "a?." + secret},
	{"hash tag", "{tag}." + secret},
	{"percent", "a%2e." + secret},
	{"@ in the id", "a@b." + secret},
	{"backtick in the id", "a`b." + secret},
	{"[ in the id", "a[b." + secret},
	{"{ in the id", "a{b." + secret},
	{"é in the id", "é." + secret},
	{"é in the secret", uuid + ".é" + secret},
	{"full-width letter", uuid + ".Ａ" + secret},
	{"full-width dot", uuid + "．" + secret},
	{"invalid UTF-8", "\xff\xfe." + secret},
	{"a megabyte of A", strings.Repeat("A", 1<<20)},
	{"a megabyte of dots", strings.Repeat(".", 1<<20)},
	{"a megabyte behind a token", valid + strings.Repeat("A", 1<<20)},
	{"a megabyte before a secret", strings.Repeat("A", 1<<20) + "." + secret},
}

func TestParseValid(t *testing.T) {
	for _, tt := range validTokens {
		t.Run(tt.name, func(t *testing.T) {
			id, sec, ok := token.Parse(tt.token)
			if got := token.Join(id, sec); !ok || got != tt.token {
				t.Errorf("got %q, %v, want %q, true", got, ok, tt.token)
			}
			if !token.ValidID(id) {
				t.Errorf("got an id that is not valid: %q", id)
			}
			if strings.Contains(id, ".") || len(sec) < 26 {
				t.Errorf("got id %q and secret %q", id, sec)
			}
		})
	}
}

func TestParseMalformed(t *testing.T) {
	for _, tt := range malformedTokens {
		t.Run(tt.name, func(t *testing.T) {
			if id, sec, ok := token.Parse(tt.token); ok || id != "" || sec != "" {
				t.Errorf("got %.99q, %.99q, %v, want nothing", id, sec, ok)
			}
		})
	}
	for i := range len(valid) {
		if id, sec, ok := token.Parse(valid[:i]); ok || id != "" || sec != "" {
			t.Errorf("first %d bytes: got %q, %q, %v, want nothing", i, id, sec, ok)
		}
	}
}

// TestParseAllocates bounds what hostile input costs.
func TestParseAllocates(t *testing.T) {
	for _, tt := range append(malformedTokens, validTokens...) {
		if n := testing.AllocsPerRun(10, func() { token.Parse(tt.token) }); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", tt.name, n)
		}
	}
}

// TestFlippedBit is R01: no token that differs in one bit authenticates.
func TestFlippedBit(t *testing.T) {
	kept := token.Hash(secret)
	opens := func(s string) bool {
		id, sec, ok := token.Parse(s)
		return ok && id == uuid && token.Equal(token.Hash(sec), kept)
	}
	if !opens(valid) {
		t.Fatal("the token itself does not open")
	}
	for i := range 8 * len(valid) {
		flipped := []byte(valid)
		flipped[i/8] ^= 1 << (i % 8)
		if opens(string(flipped)) {
			t.Errorf("bit %d of byte %d: %q opens", i%8, i/8, flipped)
		}
	}
	for c := range 256 {
		if longer := valid + string([]byte{byte(c)}); opens(longer) {
			t.Errorf("%q opens", longer)
		}
	}
}

func TestValidID(t *testing.T) {
	const good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for c := range 256 {
		b := string([]byte{byte(c)})
		want := strings.Contains(good, b)
		for _, id := range []string{b, "a" + b, b + "a", "a" + b + "a"} {
			if got := token.ValidID(id); got != want {
				t.Errorf("%q: got %v, want %v", id, got, want)
			}
		}
	}
	for n, want := range map[int]bool{0: false, 1: true, token.MaxID: true, token.MaxID + 1: false, 1 << 20: false} {
		if got := token.ValidID(strings.Repeat("a", n)); got != want {
			t.Errorf("%d bytes: got %v, want %v", n, got, want)
		}
	}
}

func TestCookieValue(t *testing.T) {
	// RFC 6265, 4.1.1, as it is printed there.
	octet := func(c int) bool {
		return c == 0x21 || 0x23 <= c && c <= 0x2b || 0x2d <= c && c <= 0x3a || 0x3c <= c && c <= 0x5b || 0x5d <= c && c <= 0x7e
	}
	for c := range 256 {
		b := string([]byte{byte(c)})
		for _, s := range []string{b, "a" + b, b + "a", "a" + b + "a"} {
			if got, want := token.CookieValue(s), octet(c); got != want {
				t.Errorf("%q: got %v, want %v", s, got, want)
			}
		}
	}
	if token.CookieValue("") {
		t.Error("got true for nothing")
	}
	for _, tt := range validTokens {
		if !token.CookieValue(tt.token) {
			t.Errorf("%s: got false for a token", tt.name)
		}
	}
}

// TestHash pins what stores have on disk.
func TestHash(t *testing.T) {
	for _, s := range []string{"", "A", secret, strings.Repeat("7", 64), strings.Repeat("7", 65), strings.Repeat("x", 1000)} {
		got, want := token.Hash(s), token.Sum(sha256.Sum256([]byte(s)))
		if got != want {
			t.Errorf("%d bytes: got %x, want SHA-256 %x", len(s), got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { token.Hash(secret) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestEqual(t *testing.T) {
	sum := token.Hash(secret)
	if !token.Equal(sum, token.Hash(secret)) {
		t.Error("got two hashes of one secret unequal")
	}
	for i := range 8 * len(sum) {
		other := sum
		other[i/8] ^= 1 << (i % 8)
		if token.Equal(sum, other) || token.Equal(other, sum) {
			t.Errorf("got equal though bit %d differs", i)
		}
	}
}

// TestNext pins the successor: processes of two versions rotate one session.
func TestNext(t *testing.T) {
	salt := token.Salt{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	next := token.Next(secret, salt)
	if want := "XVRXL7KCAKFEUGEJE6YUYZ5NPH"; next != want {
		t.Errorf("got %s, want %s as ever", next, want)
	}
	if again := token.Next(secret, salt); again != next {
		t.Errorf("got %s and %s from the same secret and salt", next, again)
	}
	if _, sec, ok := token.Parse(token.Join(uuid, next)); !ok || sec != next {
		t.Errorf("got %q, which is no secret", next)
	}
	seen := map[string]string{secret: "the secret itself"}
	note := func(what, s string) {
		if before, ok := seen[s]; ok {
			t.Errorf("%s: got the successor of %s", what, before)
		}
		seen[s] = what
	}
	note("salt", next)
	note("no salt", token.Next(secret, token.Salt{}))
	for i := range 8 * len(salt) {
		other := salt
		other[i/8] ^= 1 << (i % 8)
		note(fmt.Sprintf("salt with bit %d flipped", i), token.Next(secret, other))
	}
	for i := range len(secret) {
		other := []byte(secret)
		other[i] = '2'
		note(fmt.Sprintf("secret with letter %d changed", i), token.Next(string(other), salt))
	}
	for i := range 100 {
		next = token.Next(next, salt)
		note(fmt.Sprintf("step %d of a chain", i), next)
	}
}

func TestNewSalt(t *testing.T) {
	seen := map[token.Salt]bool{{}: true}
	for range 10_000 {
		s := token.NewSalt()
		if seen[s] {
			t.Fatalf("got %x twice, or nothing", s)
		}
		seen[s] = true
	}
}

// TestSecretEntropy is R02: by computation and by χ² for each position, over
// fresh secrets and over successors.
func TestSecretEntropy(t *testing.T) {
	const (
		n        = 20_000
		alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
		expected = float64(n) / float64(len(alphabet))
		// With 31 degrees of freedom χ² is above this once in 1e11 runs.
		bound = 120
	)
	salt := token.NewSalt()
	for name, secret := range map[string]func() string{
		"NewSecret": token.NewSecret,
		"Next":      func() string { return token.Next(token.NewSecret(), salt) },
	} {
		t.Run(name, func(t *testing.T) {
			size := len(secret())
			counts := make([][256]int, size)
			for range n {
				s := secret()
				if len(s) != size {
					t.Fatalf("got %d and %d characters", size, len(s))
				}
				if _, _, ok := token.Parse(token.Join(uuid, s)); !ok {
					t.Fatalf("got %q, which is no secret", s)
				}
				for i := range size {
					counts[i][s[i]]++
				}
			}
			bits := 0.0
			for i, count := range counts {
				chi2, letters := 0.0, 0
				for j := range len(alphabet) {
					d := float64(count[alphabet[j]]) - expected
					chi2 += d * d / expected
					if count[alphabet[j]] > 0 {
						letters++
					}
				}
				if chi2 > bound {
					t.Errorf("position %d: got χ² %.0f, want at most %d", i, chi2, bound)
				}
				bits += math.Log2(float64(letters))
			}
			if bits < 128 {
				t.Errorf("got %.1f bits, want at least 128", bits)
			}
		})
	}
}

// TestSecretUnique is R03: heavy demand from everywhere at once.
func TestSecretUnique(t *testing.T) {
	const goroutines, each = 64, 100_000 / 64
	made := make([][]string, goroutines)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			for range each {
				made[i] = append(made[i], token.NewSecret())
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool, goroutines*each)
	for _, secrets := range made {
		for _, s := range secrets {
			if seen[s] {
				t.Fatalf("got %s twice", s)
			}
			seen[s] = true
		}
	}
	if got, want := len(seen), goroutines*each; got != want {
		t.Errorf("got %d secrets, want %d", got, want)
	}
}

// FuzzParse compares Parse with the shape as a regular expression says it.
func FuzzParse(f *testing.F) {
	for _, tt := range append(malformedTokens, validTokens...) {
		if len(tt.token) < 1<<20 {
			f.Add(tt.token)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, sec, ok := token.Parse(s)
		if want := shape.MatchString(s); ok != want {
			t.Fatalf("%q: got %v, want %v", s, ok, want)
		}
		switch {
		case !ok && (id != "" || sec != ""):
			t.Fatalf("%q: got %q and %q of no token", s, id, sec)
		case ok && token.Join(id, sec) != s:
			t.Fatalf("%q: got %q and %q", s, id, sec)
		case ok && !token.ValidID(id):
			t.Fatalf("%q: got the invalid id %q", s, id)
		}
	})
}
