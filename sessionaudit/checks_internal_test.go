package sessionaudit

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
)

// TestBits: how much chance there can be in identifiers.
func TestBits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tokens []string
		want   float64
	}{
		{[]string{"same", "same"}, 0},
		{[]string{"a0", "a1", "a2"}, math.Log2(10)},
		{[]string{"0f", "a1", "52"}, 2 * math.Log2(16)},
		{[]string{"0F", "a1", "52"}, 2 * math.Log2(22)},
		{[]string{"0z", "a1", "52"}, 2 * math.Log2(36)},
		{[]string{"-z", "a1", "5Z"}, 2 * math.Log2(64)},
		{[]string{"7", "17"}, 2 * math.Log2(10)}, // of different lengths
		{[]string{"17", "7"}, 2 * math.Log2(10)},
	} {
		if got := bits(c.tokens); math.IsNaN(got) || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%q: got %v bits, want %v", c.tokens, got, c.want)
		}
	}
}

// TestForged: a value that was never issued looks like one that was.
func TestForged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		samples [2]string
		between bool // of each character of it one sample has it in that place
	}{
		{[2]string{"0123456789abcdef", "fedcba9876543210"}, true},
		{[2]string{"2bB.longer-than-that", "7eE.that"}, true},
		{[2]string{"identifier-0001", "identifier-0002"}, false}, // nothing lies between
	} {
		e := &env{samples: c.samples}
		for range 100 {
			got := e.forged()
			if got == c.samples[0] || got == c.samples[1] || len(got) != len(c.samples[0]) {
				t.Fatalf("of %q: got %q", c.samples, got)
			}
			for i := range got {
				if c.between && got[i] != c.samples[0][i] && got[i] != c.samples[1][i] {
					t.Fatalf("of %q: got %q", c.samples, got)
				}
			}
		}
	}
}

// TestInsecure: what is made for plain http is served so.
func TestInsecure(t *testing.T) {
	t.Parallel()
	s := newSite()
	adorned("id", func(c *http.Cookie) { c.Secure = false })(s)
	s.first(func(w http.ResponseWriter, r *http.Request) bool {
		if r.TLS != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		return r.TLS != nil
	})
	app := s.app()
	app.Insecure = true
	_, found := findings(t, s.handler(), app, megabyte)
	for name, f := range found {
		t.Errorf("%s: %s", name, f.text)
	}
}

// TestAnother: a character is replaced by one of its kind.
func TestAnother(t *testing.T) {
	t.Parallel()
	for c := byte('!'); c < 0x7f; c++ {
		got := another(c)
		if strings.EqualFold(string(got), string(c)) || class(c) != 3 && class(got) != class(c) {
			t.Errorf("%q: got %q", c, got)
		}
	}
}

// TestAnonymousGivesNone: what App says of strangers has to be so.
func TestAnonymousGivesNone(t *testing.T) {
	t.Parallel()
	s := newSite()
	app := s.app()
	app.Anonymous = func(*Browser) *http.Request { return Form("/nothing") }
	e, err := newEnv(t, s.handler(), app)
	if err != nil {
		t.Fatal(err)
	}
	if err := plantedReal(e); err == nil || !strings.Contains(err.Error(), "POST /nothing gave no cookie") {
		t.Errorf("got %v, want that it gave no cookie", err)
	}
}

// TestNothingDeleted: a logout that gives another cookie deletes none.
func TestNothingDeleted(t *testing.T) {
	t.Parallel()
	s := newSite()
	s.logout = func(w http.ResponseWriter, token string) {
		s.drop(token)
		s.set(w, s.begin(""))
	}
	e, err := newEnv(t, s.handler(), s.app())
	if err != nil {
		t.Fatal(err)
	}
	var not notCheckedError
	if err := deletedAlike(e); !errors.As(err, &not) {
		t.Errorf("got %v, want that it is not checked", err)
	}
}
