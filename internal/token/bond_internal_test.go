package token

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// bound returns secrets that are bound to a device, with their two secrets, and the first
// of them was not seen.
func bound(t *testing.T, ends, grace int64) (s Secrets, before, first string) {
	t.Helper()
	s, first = Secrets{Newest: Hash(firstSecret)}, NewBoundSecret()
	if err := s.Bind("device", first, ends, grace, 0); err != nil {
		t.Fatal(err)
	}
	return s, firstSecret, first
}

// good fails the test unless the secrets that have a + in want, and no others, are good.
func good(t *testing.T, s *Secrets, now int64, when, want string, secrets ...string) {
	t.Helper()
	got := ""
	for _, secret := range secrets {
		if s.Accepts(secret, now) {
			got += "+"
		} else {
			got += "-"
		}
	}
	if got != want {
		t.Errorf("%s: good secrets: got %s, want %s", when, got, want)
	}
}

func prove(t *testing.T, s *Secrets, challenge string, ends, now int64) (secret string) {
	t.Helper()
	secret = NewBoundSecret()
	if err := s.Prove(Proof{Device: "device", Challenge: challenge, Until: now + 1000}, secret, ends, now); err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestBoundSecret: it is a secret, and carries the mark.
func TestBoundSecret(t *testing.T) {
	secret := NewBoundSecret()
	if _, parsed, ok := Parse(Join("id", secret)); !ok || parsed != secret || !Bound(secret) || Bound(NewSecret()+"A") {
		t.Error("a bound secret is no secret, or not known as one")
	}
	if NewBoundSecret() == secret {
		t.Error("got one secret twice")
	}
}

// TestBindGrace: the secret from before lives until the first one was shown, and then for
// its grace. The first one ends by itself.
func TestBindGrace(t *testing.T) {
	s, before, first := bound(t, 100, 10)
	good(t, &s, 99, "not seen", "++", before, first)
	good(t, &s, 100, "not seen, ended", "+-", before, first)
	if m, ok := s.Match(before, 50); !ok || m.Newest != before || m.Ends != 0 || m.Changed {
		t.Error("the secret from before is not good as it is")
	}
	if m, ok := s.Match(first, 60); !ok || m.Newest != first || m.Ends != 100 || !m.Changed {
		t.Error("the first secret is not good, or its end is not told")
	}
	good(t, &s, 69, "within the grace", "+", before)
	good(t, &s, 70, "after the grace", "-+", before, first)
	if !s.Reused(before) || s.Reused(NewBoundSecret()) {
		t.Error("a secret after its time is not known, or another one is")
	}
	good(t, &s, 100, "at the end", "--", before, first)
	if !s.Reused(first) {
		t.Error("the newest secret is not known after its end")
	}
}

// TestBindOnce: the device is set once.
func TestBindOnce(t *testing.T) {
	s, before, first := bound(t, 100, 10)
	was := s.Old()
	for _, device := range []string{"device", "another"} {
		if err := s.Bind(device, NewBoundSecret(), 200, 0, 1); !errors.Is(err, ErrBound) {
			t.Errorf("got %v, want ErrBound", err)
		}
	}
	if !bytes.Equal(s.Old(), was) || s.Newest != Hash(first) || s.Device() != "device" || s.Ends() != 100 {
		t.Error("the second binding changed something")
	}
	s.Forget()
	if s.Device() != "" || s.Ends() != 0 || s.Accepts(before, 1) || s.Old() != nil {
		t.Error("something is left")
	}
}

// TestUndo: a call that fails after it has authenticated its secret starts no grace.
func TestUndo(t *testing.T) {
	s := Secrets{Newest: Hash(firstSecret)}
	second := s.Rotate(firstSecret, 0, 0)
	third := s.Rotate(second, 5, 1)
	was := s.Old()
	m, ok := s.Match(third, 2)
	if !ok || !m.Changed || bytes.Equal(s.Old(), was) {
		t.Fatal("the newest secret is no news")
	}
	if m.Undo(); !bytes.Equal(s.Old(), was) {
		t.Error("the grace has begun")
	}
	good(t, &s, 1000, "undone", "+++", firstSecret, second, third)
	s.Match(second, 3)
	if m, _ := s.Match(third, 4); m.Changed {
		m.Undo()
	}
	good(t, &s, 1000, "half undone", "-+", firstSecret, second)
}

// TestBindOfRotated: to the secrets of a device nothing leads, so those from before stay
// what they are, also after the one that followed them.
func TestBindOfRotated(t *testing.T) {
	s := Secrets{Newest: Hash(firstSecret)}
	second := s.Rotate(firstSecret, 100, 0)
	first := NewBoundSecret()
	if err := s.Bind("device", first, 1000, 0, 1); err != nil {
		t.Fatal(err)
	}
	for now, seen := range []bool{false, true, true} {
		if seen {
			s.Match(first, int64(now))
		}
		m, ok := s.Match(firstSecret, int64(now))
		if !ok || m.Newest != firstSecret || m.Ends != 0 {
			t.Errorf("at %d: the first of all stands for another secret", now)
		}
	}
	good(t, &s, 2, "seen", "+-+", firstSecret, second, first)
	if next := s.Rotate(first, 0, 2); next != first {
		t.Error("a rotation made a secret that no device proved")
	}
}

// TestProveKeeps: each secret lives to its own end, whatever is proved meanwhile.
func TestProveKeeps(t *testing.T) {
	s, before, first := bound(t, 100, 10)
	second := prove(t, &s, "a", 150, 50)
	good(t, &s, 59, "proved, first never shown", "+++", before, first, second)
	good(t, &s, 60, "after the grace", "-++", before, first, second)
	third := prove(t, &s, "b", 120, 70) // shorter than the one before
	if m, ok := s.Match(first, 71); !ok || m.Newest != first || m.Ends != 100 {
		t.Error("the first secret is not what it was")
	}
	if m, ok := s.Match(second, 72); !ok || m.Newest != second || m.Ends != 150 {
		t.Error("the second secret is not what it was")
	}
	good(t, &s, 99, "before the first ends", "+++", first, second, third)
	good(t, &s, 100, "at the end of the first", "-++", first, second, third)
	good(t, &s, 120, "at the end of the newest", "-+-", first, second, third)
	good(t, &s, 150, "at the end of all", "---", first, second, third)
	if s.Ends() != 120 {
		t.Errorf("the newest ends at %d", s.Ends())
	}
	fourth := prove(t, &s, "c", 1100, 1000) // long after all have ended
	good(t, &s, 1000, "proved again", "---+", first, second, third, fourth)
	for i, secret := range []string{before, first, second, third} {
		if !s.Reused(secret) {
			t.Errorf("secret %d is forgotten", i)
		}
	}
}

// TestProveRefused: what is refused changes nothing.
func TestProveRefused(t *testing.T) {
	s, _, _ := bound(t, 100, 10)
	prove(t, &s, "a", 200, 50)
	var free Secrets
	for _, test := range []struct {
		name   string
		s      *Secrets
		device string
		want   error
	}{
		{"another device", &s, "devicf", ErrUnbound},
		{"no device", &s, "", ErrUnbound},
		{"not bound", &free, "device", ErrUnbound},
		{"not bound, no device", &free, "", ErrUnbound},
		{"the same challenge", &s, "device", ErrReplayed},
	} {
		was, newest := test.s.Old(), test.s.Newest
		err := test.s.Prove(Proof{test.device, "a", 1000}, NewBoundSecret(), 300, 60)
		if !errors.Is(err, test.want) || !bytes.Equal(test.s.Old(), was) || test.s.Newest != newest {
			t.Errorf("%s: got %v, want %v and no change", test.name, err, test.want)
		}
	}
}

// TestChallengeForgotten: a challenge is remembered for as long as it could be answered,
// and not a moment longer.
func TestChallengeForgotten(t *testing.T) {
	s, _, _ := bound(t, 100, 10)
	p := Proof{"device", "a", 500}
	if err := s.Prove(p, NewBoundSecret(), 200, 50); err != nil {
		t.Fatal(err)
	}
	p.Until = 2000
	if err := s.Prove(p, NewBoundSecret(), 600, 499); !errors.Is(err, ErrReplayed) {
		t.Errorf("got %v, want ErrReplayed", err)
	}
	if err := s.Prove(p, NewBoundSecret(), 600, 500); err != nil {
		t.Errorf("got %v at the time at which nobody can answer it any more", err)
	}
	if err := s.Prove(p, NewBoundSecret(), 600, 1999); !errors.Is(err, ErrReplayed) {
		t.Errorf("got %v, want ErrReplayed again", err)
	}
}

// TestFull: 64 good secrets, and 64 challenges, are the most. What has ended does not
// count, wherever it stands.
func TestFull(t *testing.T) {
	s, before, first := bound(t, 10, 1<<40) // before: good for ever
	all := []string{first}
	for i := range MaxGenerations - 1 {
		all = append(all, prove(t, &s, fmt.Sprint(i), 5000, 1))
	}
	was := s.Old()
	if err := s.Prove(Proof{"device", "x", 1001}, NewBoundSecret(), 5000, 9); !errors.Is(err, ErrFull) || !bytes.Equal(s.Old(), was) {
		t.Errorf("got %v, want ErrFull and no change", err)
	}
	for i, secret := range append(all, before) {
		if !s.Accepts(secret, 9) {
			t.Errorf("secret %d is not good", i)
		}
	}
	// The first has ended, and stands in the middle.
	if err := s.Prove(Proof{"device", "x", 1001}, NewBoundSecret(), 5000, 10); err != nil {
		t.Errorf("one has ended: got %v", err)
	}
	if err := s.Prove(Proof{"device", "y", 1001}, NewBoundSecret(), 5000, 10); !errors.Is(err, ErrFull) {
		t.Errorf("64 challenges: got %v, want ErrFull", err)
	}
	if len(s.Old()) > 1<<13 {
		t.Errorf("got %d bytes, want at most 8 KiB", len(s.Old()))
	}
	var read Secrets
	if !read.SetOld(s.Old()) {
		t.Error("full secrets cannot be read")
	}

	// Challenges alone.
	s, _, _ = bound(t, 10, 0)
	for i := range MaxGenerations {
		now := int64(10 * (i + 1))
		secret := NewBoundSecret()
		if err := s.Prove(Proof{"device", fmt.Sprint(i), 1e6}, secret, now+10, now); err != nil {
			t.Fatalf("challenge %d: %v", i, err)
		}
	}
	if err := s.Prove(Proof{"device", "x", 1e6}, NewBoundSecret(), 2000, 1999); !errors.Is(err, ErrFull) {
		t.Errorf("65 challenges: got %v, want ErrFull", err)
	}
	if err := s.Prove(Proof{"device", "x", 2e6}, NewBoundSecret(), 2e6, 1e6); err != nil {
		t.Errorf("all challenges are too old: got %v", err)
	}

	// A binding beside 64 old secrets.
	s = Secrets{Newest: Hash(firstSecret)}
	newest := firstSecret
	for range 3 { // which are remembered only
		newest = s.Rotate(newest, 0, 0)
		s.Match(newest, 0)
	}
	for now := range int64(MaxGenerations) {
		newest = s.Rotate(newest, 1<<40, now)
	}
	was = s.Old()
	if err := s.Bind("device", NewBoundSecret(), 1000, 0, 100); !errors.Is(err, ErrFull) || s.Device() != "" || !bytes.Equal(s.Old(), was) {
		t.Errorf("got %v, want ErrFull and no change", err)
	}
}

// TestBondMalformed: bytes that are no bond change nothing.
func TestBondMalformed(t *testing.T) {
	s, _, _ := bound(t, 100, 10)
	prove(t, &s, "a", 200, 50)
	stored := s.Old()
	device := len("device")
	for i := range stored {
		// The first bytes alone may be the bond without the generations.
		var cut Secrets
		if ok := cut.SetOld(stored[:i]); ok && !bytes.Equal(cut.Old(), stored[:i]) {
			t.Errorf("the first %d bytes were read as something else", i)
		}
	}
	for name, bad := range map[string][]byte{
		"no device":            {bondMark, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"mark only":            {bondMark},
		"half a length":        {bondMark, 0},
		"device too long":      slices.Concat([]byte{bondMark, 4, 1}, bytes.Repeat([]byte("d"), MaxDevice+1+8+1)),
		"device cut":           stored[:5],
		"too many challenges":  slices.Concat(stored[:3+device+8], []byte{MaxGenerations + 1}, make([]byte, (MaxGenerations+1)*useSize)),
		"challenge cut":        stored[:3+device+8+1+useSize-1],
		"generation cut":       stored[:len(stored)-1],
		"one byte more":        append(slices.Clip(stored), 0),
		"two bonds":            slices.Concat(stored[:3+device+8+1+useSize], stored),
		"too many generations": slices.Concat(stored[:3+device+8+1+useSize], []byte{0}, make([]byte, (MaxGenerations+1)*generationSize)),
	} {
		if s.SetOld(bad) || !bytes.Equal(s.Old(), stored) {
			t.Errorf("%s: was read", name)
		}
	}
	long := Secrets{Newest: Hash(firstSecret)}
	if err := long.Bind(strings.Repeat("\xff", MaxDevice), NewBoundSecret(), 1, 0, 0); err != nil {
		t.Fatal(err)
	}
	var read Secrets
	if !read.SetOld(long.Old()) || read.Device() != long.Device() {
		t.Error("the longest device is not read")
	}
}

// FuzzSetOld: whatever bytes are read are what is stored, and nothing panics on them.
func FuzzSetOld(f *testing.F) {
	s := Secrets{Newest: Hash(firstSecret)}
	second := s.Rotate(firstSecret, 5, 0)
	f.Add([]byte(nil))
	f.Add(s.Old())
	if err := s.Bind("device", NewBoundSecret(), 10, 5, 1); err != nil {
		f.Fatal(err)
	}
	f.Add(s.Old())
	for i := range 3 {
		if err := s.Prove(Proof{"device", fmt.Sprint(i), 100}, NewBoundSecret(), 10, 2); err != nil {
			f.Fatal(err)
		}
		f.Add(s.Old())
	}
	f.Fuzz(func(t *testing.T, old []byte) {
		var s Secrets
		if !s.SetOld(old) {
			if s.Old() != nil || s.Device() != "" {
				t.Fatal("what was refused has changed something")
			}
			return
		}
		if !bytes.Equal(s.Old(), old) {
			t.Fatalf("%d bytes were read, and %d are stored", len(old), len(s.Old()))
		}
		for now := range int64(3) {
			s.Reused(second)
			if _, ok := s.Match(second, now); ok && !s.Reused(second) && s.Newest != Hash(second) {
				t.Fatal("a secret is good that was never there")
			}
			_ = s.Prove(Proof{s.Device(), "x", 9}, NewBoundSecret(), now+1, now)
			_ = s.Bind("device", NewBoundSecret(), now+1, 1, now)
			s.Rotate(second, 1, now)
		}
		var read Secrets
		if !read.SetOld(s.Old()) {
			t.Fatal("what is stored cannot be read")
		}
	})
}
