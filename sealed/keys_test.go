package sealed_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// TestNewKey: keys are of the size that is asked for, none comes twice, all are taken.
func TestNewKey(t *testing.T) {
	seen := make(map[string]bool)
	for range 10_000 {
		key := sealed.NewKey()
		if len(key) != 32 || seen[string(key)] {
			t.Fatalf("a key of %d bytes, made before: %t", len(key), seen[string(key)])
		}
		seen[string(key)] = true
	}
	if err := (&sealed.Store{Keys: [][]byte{sealed.NewKey()}}).Check(); err != nil || sealed.KeySize != 32 {
		t.Error(err)
	}
}

// TestParseKeys: base64 as people have it.
func TestParseKeys(t *testing.T) {
	// Their base64 has the characters in which the alphabets differ, and needs padding.
	a, b := bytes.Repeat([]byte{0xfb, 0xff, 0xfe, 1}, 8), bytes.Repeat([]byte{0xff, 0xef, 0xbf}, 12)
	std, raw, url, rawURL := base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding
	for _, tt := range []struct {
		name, text string
		want       [][]byte
	}{
		{"standard", std.EncodeToString(a), [][]byte{a}},
		{"standard without padding", raw.EncodeToString(a), [][]byte{a}},
		{"of URLs", url.EncodeToString(a), [][]byte{a}},
		{"of URLs without padding", rawURL.EncodeToString(a), [][]byte{a}},
		{"longer", std.EncodeToString(b), [][]byte{b}},
		{"two", std.EncodeToString(a) + "," + rawURL.EncodeToString(b), [][]byte{a, b}},
		{"two, the other order", raw.EncodeToString(b) + "," + url.EncodeToString(a), [][]byte{b, a}},
		{"spaces", "  " + std.EncodeToString(a) + " ,\t" + std.EncodeToString(b) + "  ", [][]byte{a, b}},
		{"the line break of a file", std.EncodeToString(a) + "\n", [][]byte{a}},
		{"that of another system", std.EncodeToString(a) + ",\r\n" + std.EncodeToString(b) + "\r\n", [][]byte{a, b}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sealed.ParseKeys(tt.text)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("got %d keys, %v, want %d", len(got), err, len(tt.want))
			}
			for i := range got {
				if !bytes.Equal(got[i], tt.want[i]) {
					t.Errorf("key %d is another", i+1)
				}
			}
			if err := (&sealed.Store{Keys: got}).Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestParseKeysRefused: an error names the position, and nothing of the text.
func TestParseKeysRefused(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(namedKey("a"))
	other := base64.RawURLEncoding.EncodeToString(namedKey("b"))
	short := base64.StdEncoding.EncodeToString(namedKey("c")[:31])
	for _, tt := range []struct {
		name, text string
		position   int
	}{
		{"nothing", "", 1},
		{"spaces", " \n ", 1},
		{"a byte too short", short, 1},
		{"the second too short", good + "," + short, 2},
		{"nothing after a comma", good + ",", 2},
		{"nothing before a comma", "," + good, 1},
		{"nothing between commas", good + ",," + other, 2},
		{"a space between commas", good + ", ," + other, 2},
		{"the same again", good + "," + good, 2},
		{"the same, written otherwise", good + "," + other + "," + base64.RawURLEncoding.EncodeToString(namedKey("a")), 3},
		{"repeats one byte", base64.StdEncoding.EncodeToString(make([]byte, 32)), 1},
		{"another byte over and over", good + "," + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, 64)), 2},
		{"a password", "correct horse battery staple, and more", 1},
		{"a sign that is none of base64", other + "," + good[:20] + "!" + good[21:], 2},
		{"a line break inside", good[:20] + "\n" + good[20:], 1},
		{"a carriage return inside", good[:20] + "\r" + good[20:], 1},
		{"a space inside", good[:20] + " " + good[20:], 1},
		{"padding inside", good + good, 1},
		{"bits that no key has", other[:42] + "_", 1},
		{"a character too many", other + "AA", 1},
		{"a character cut off", strings.TrimRight(good, "=")[:41], 1},
		{"hexadecimal of 15 bytes", strings.Repeat("0f", 15), 1},
		{"separated by semicolons", good + ";" + other, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sealed.ParseKeys(tt.text)
			if err == nil {
				t.Fatal("got no error")
			}
			names(t, err, tt.position)
			for i := range len(tt.text) - 5 {
				if strings.Contains(err.Error(), tt.text[i:i+6]) {
					t.Fatal("the error tells a part of the text")
				}
			}
		})
	}
}

// names checks that an error names the position of a key, and no other before it.
func names(t *testing.T, err error, position int) {
	t.Helper()
	if !strings.HasPrefix(err.Error(), fmt.Sprintf("sealed: key %d ", position)) {
		t.Errorf("got %v, want it to name key %d", err, position)
	}
}

// TestCheckKeys: Check says which key is wrong, and every call says it, too.
func TestCheckKeys(t *testing.T) {
	a, b, short := namedKey("a"), namedKey("b"), namedKey("c")[:31]
	for _, tt := range []struct {
		name     string
		keys     [][]byte
		position int // 0: no key has one
	}{
		{"none", nil, 0},
		{"an empty list", [][]byte{}, 0},
		{"nil", [][]byte{nil}, 1},
		{"an empty one", [][]byte{a, {}}, 2},
		{"a byte too short", [][]byte{a, b, short}, 3},
		{"zeros", [][]byte{a, make([]byte, 32)}, 2},
		{"repeats one byte", [][]byte{bytes.Repeat([]byte{0xa5}, 48)}, 1},
		{"the same twice", [][]byte{a, b, bytes.Clone(a)}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := &sealed.Store{Keys: tt.keys}
			err := st.Check()
			if err == nil {
				t.Fatal("got no error")
			}
			if tt.position != 0 {
				names(t, err, tt.position)
			}
			for _, key := range tt.keys {
				if len(key) > 0 && (strings.Contains(err.Error(), string(key)) || strings.Contains(err.Error(), fmt.Sprintf("%d", key))) {
					t.Error("the error tells a key")
				}
			}
			if _, got := st.Generate(t.Context(), "id"); got == nil || errors.Is(got, session.ErrNotFound) {
				t.Errorf("Generate: got %v, want an error of its own", got)
			}
		})
	}
	if err := (&sealed.Store{Keys: [][]byte{a, b, append(bytes.Clone(a), 0), namedKey("d")[:32:32]}}).Check(); err != nil {
		t.Errorf("four good ones: got %v", err)
	}
}

// TestKeyRotation: the old key opens, what it sealed is sealed anew at once, and a key
// that was taken out opens nothing.
func TestKeyRotation(t *testing.T) {
	old, both, next := keyed("old"), keyed("new", "old"), keyed("new")
	behind := keyed("old", "new") // the first step, where servers of both kinds are side by side
	c := &client{name: "session"}
	values := map[string]any{"theme": "dark"}
	seal := begun(t, c.request(t.Context()), old, values)
	want := seal
	c.times = 0

	for range 2 { // a request that brings the old seal twice is given it once each
		before := c.times
		ctx := c.request(t.Context())
		s, err := both.Open(ctx, seal)
		if err != nil {
			t.Fatal(err)
		}
		shows(t, "under both keys", s, values)
		if c.times != before+1 || session.Token(s) == seal {
			t.Errorf("given %d seals, want one more than %d; the token is the old one: %t", c.times, before, session.Token(s) == seal)
		}
		if _, err := both.Open(ctx, seal); err != nil || c.times != before+1 {
			t.Errorf("opened again: got %v, given %d seals", err, c.times)
		}
		got, err := next.Open(c.request(t.Context()), c.seal)
		if err != nil {
			t.Fatalf("what was given, under the new key alone: %v", err)
		}
		shows(t, "under the new key", got, values)
		if infoOf(t, got) != infoOf(t, s) {
			t.Errorf("got %+v, want %+v", infoOf(t, got), infoOf(t, s))
		}
		if _, err := next.Open(c.request(t.Context()), session.Token(s)); err != nil {
			t.Errorf("the session's own token, under the new key alone: %v", err)
		}
	}
	for name, tt := range map[string]struct {
		st   *sealed.Store
		seal string
		want error
	}{
		"the new key, what the old one sealed":    {next, want, session.ErrNotFound},
		"the old key, what the new one sealed":    {old, c.seal, session.ErrNotFound},
		"the first step, what the new one sealed": {behind, c.seal, nil},
		"the first step, what the old one sealed": {behind, want, nil},
	} {
		given := client{name: "session"}
		_, err := tt.st.Open(given.request(t.Context()), tt.seal)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if got := given.times == 1; got != (name == "the first step, what the new one sealed") {
			t.Errorf("%s: given %d seals", name, given.times)
		}
	}
}

// TestKeyRotationHeaderOut: a session of an old key opens also where the client cannot
// be given another seal now; the next write gives it.
func TestKeyRotationHeaderOut(t *testing.T) {
	c := &client{name: "session"}
	seal := begun(t, c.request(t.Context()), keyed("old"), map[string]any{"theme": "dark"})
	c.fail = session.ErrHeaderWritten
	ctx := c.request(t.Context())
	s, err := keyed("new", "old").Open(ctx, seal)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(ctx, "theme", "light"); !errors.Is(err, session.ErrHeaderWritten) {
		t.Errorf("Set: got %v, want ErrHeaderWritten", err)
	}
	shows(t, "after a write that failed", s, map[string]any{"theme": "dark"})
	c.fail = nil
	if err := s.Set(ctx, "theme", "light"); err != nil {
		t.Fatal(err)
	}
	got, err := keyed("new").Open(c.request(t.Context()), c.seal)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, "after a write", got, map[string]any{"theme": "light"})
}

// TestKeysAlone: without a request the session has its new seal at once.
func TestKeysAlone(t *testing.T) {
	seal := begun(t, t.Context(), keyed("old"), nil)
	s := opened(t, keyed("new", "old"), seal)
	open(t, keyed("new"), session.Token(s), "its token", nil)
	if current := opened(t, keyed("old", "new"), seal); session.Token(current) != seal {
		t.Error("a seal of the first key was replaced")
	}
}

// TestKeysChanged: a caller who reuses the memory of keys changes nothing.
func TestKeysChanged(t *testing.T) {
	st := keyed("a", "b")
	before := begun(t, t.Context(), st, nil)
	for i := range st.Keys {
		clear(st.Keys[i])
		st.Keys[i] = nil
	}
	st.Keys = nil
	open(t, st, before, "a seal from before", nil)
	after := begun(t, t.Context(), st, nil)
	open(t, keyed("a"), after, "a seal from after", nil)
	open(t, st, begun(t, t.Context(), keyed("b"), nil), "a seal of the second key", nil)
	if err := st.Check(); err != nil {
		t.Error(err)
	}
}
