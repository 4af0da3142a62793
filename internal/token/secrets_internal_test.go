package token

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

const firstSecret = "AAAAAAAAAAAAAAAAAAAAAAAAAA"

// TestGenerationsBounded: rotations with a long grace and with none, in any
// order, leave no more old tokens than the bound.
func TestGenerationsBounded(t *testing.T) {
	s := Secrets{Newest: Hash(firstSecret)}
	secret := firstSecret
	for now := range int64(1000) {
		grace := int64(0)
		if now%400 == 0 {
			grace = 1 << 40
		}
		secret = s.Rotate(secret, grace, now)
		if _, ok := s.Match(secret, now); !ok {
			t.Fatal("the newest secret does not match")
		}
		n := 0
		for g := s.old; g != nil; g = g.older {
			n++
		}
		if n > MaxGenerations {
			t.Fatalf("%d old tokens are kept after %d rotations", n, now+1)
		}
	}
}

// TestSecretsStored: secrets that went through their stored bytes act as before.
func TestSecretsStored(t *testing.T) {
	var s Secrets
	if s.Old() != nil {
		t.Fatal("no old secrets have bytes")
	}
	s.Newest = Hash(firstSecret)
	all := []string{firstSecret}
	for now := range int64(100) {
		next := s.Rotate(all[len(all)-1], now%3*20, now)
		if all = append(all, next); now%4 != 0 {
			s.Match(next, now)
		}
		read := Secrets{Newest: s.Newest}
		if !read.SetOld(s.Old()) {
			t.Fatal("what was stored is not read")
		}
		if !bytes.Equal(read.Old(), s.Old()) {
			t.Fatal("what was stored is not what was read")
		}
		for _, secret := range all {
			if read.Accepts(secret, now) != s.Accepts(secret, now) || read.Reused(secret) != s.Reused(secret) {
				t.Fatalf("at %d a secret is another one after it was stored", now)
			}
		}
		if at, ok := read.Replaced(); !ok || at != now {
			t.Fatalf("at %d: replaced %d", now, at)
		}
		s = read
	}
}

// TestSecretsMalformed: bytes that are no old secrets change nothing.
func TestSecretsMalformed(t *testing.T) {
	var s Secrets
	secret := firstSecret
	for now := range int64(12) {
		secret = s.Rotate(secret, 0, now)
		s.Match(secret, now)
	}
	good := s.Old()
	if good[0] != maxDead || len(good) != 1+maxDead*deadSize+generationSize {
		t.Fatalf("the example has %d dead secrets in %d bytes", good[0], len(good))
	}
	for _, bad := range [][]byte{
		good[:len(good)-1],
		append(slices.Clip(good), 0),
		good[:1+maxDead*deadSize],
		{1},
		{0},
		append([]byte{maxDead + 1}, bytes.Repeat([]byte{0}, (maxDead+1)*deadSize+generationSize)...),
		append([]byte{0}, bytes.Repeat([]byte{0}, (MaxGenerations+1)*generationSize)...),
		[]byte(strings.Repeat("x", 40)),
	} {
		if s.SetOld(bad) || !bytes.Equal(s.Old(), good) {
			t.Errorf("%d bytes were read as old secrets", len(bad))
		}
	}
	if !s.SetOld(nil) || s.Old() != nil {
		t.Error("no bytes are not read as no old secrets")
	}
}
