package token

import (
	"encoding/binary"
	"math"
	"slices"
)

// Secrets are what a store keeps of the secrets of one session: the hash of the
// newest, and what is needed to accept the ones before it for a while. Times are in
// any unit, the same one in every call. Secrets are not safe for concurrent use.
type Secrets struct {
	Newest Sum

	old *generation // newest first
}

// A generation is a secret that a rotation has replaced. It is good until its
// successor was seen, and then for its grace.
type generation struct {
	secret   Sum
	salt     Salt  // leads from this secret to its successor
	replaced int64 // when the successor was made
	grace    int64
	until    int64 // the end of the grace; forever until the successor was seen
	older    *generation
	dead     string // of the newest: the secrets behind the oldest, deadSize bytes of each sum, newest first
}

const (
	forever = math.MaxInt64

	// MaxGenerations bounds how many old tokens of a session are good at once.
	MaxGenerations = 64

	// maxDead is how many secrets are remembered that are no generation any more.
	maxDead  = 7
	deadSize = 8
)

func (g *generation) good(now int64) bool {
	return now < g.until
}

// accept authenticates secret: it returns the generation that it is of, nil for
// the newest secret.
func (s *Secrets) accept(secret string, now int64) (g *generation, ok bool) {
	sum := Hash(secret)
	if Equal(sum, s.Newest) {
		return nil, true
	}
	for g := s.old; g != nil; g = g.older {
		if g.good(now) && Equal(sum, g.secret) {
			return g, true
		}
	}
	return nil, false
}

// Accepts reports whether secret is good now.
func (s *Secrets) Accepts(secret string, now int64) bool {
	_, ok := s.accept(secret, now)
	return ok
}

// Match authenticates secret: it returns the newest secret of the session,
// which is secret itself or one that follows from it. It notes that the client
// has shown secret, which starts the grace of the ones before; changed reports
// whether there was something to note.
func (s *Secrets) Match(secret string, now int64) (newest string, changed, ok bool) {
	g, ok := s.accept(secret, now)
	switch {
	case !ok:
		return "", false, false
	case g == nil:
		return secret, s.old.acknowledge(now), true
	}
	changed = g.older.acknowledge(now)
	return s.follow(secret, g), changed, true
}

// Reused reports whether secret, which is not accepted, was the session's once
// since its last login.
func (s *Secrets) Reused(secret string) bool {
	if s.old == nil {
		return false
	}
	sum := Hash(secret)
	for g := s.old; g != nil; g = g.older {
		if Equal(sum, g.secret) {
			return true
		}
	}
	for dead := s.old.dead; dead != ""; dead = dead[deadSize:] {
		if dead[:deadSize] == string(sum[:deadSize]) {
			return true
		}
	}
	return false
}

// Replaced returns when the newest secret was made by a rotation; ok is false
// where it was not.
func (s *Secrets) Replaced() (at int64, ok bool) {
	if s.old == nil {
		return 0, false
	}
	return s.old.replaced, true
}

// Forget forgets all secrets before the newest.
func (s *Secrets) Forget() { s.old = nil }

// acknowledge notes that the successor of g, and so of all before it, was seen.
func (g *generation) acknowledge(now int64) (changed bool) {
	for ; g != nil && g.until == forever; g = g.older {
		g.until, changed = now+g.grace, true
	}
	return changed
}

// follow walks from the secret of generation g to the newest one.
func (s *Secrets) follow(secret string, g *generation) string {
	// The list leads from new to old, the salts from old to new.
	var salts []Salt
	for n := s.old; ; n = n.older {
		salts = append(salts, n.salt)
		if n == g {
			break
		}
	}
	for _, salt := range slices.Backward(salts) {
		secret = Next(secret, salt)
	}
	return secret
}

// Rotate makes the secret that follows newest, the present one, and returns it;
// the present one where too many old ones are good still.
func (s *Secrets) Rotate(newest string, grace, now int64) string {
	n, last := 0, &s.old // how many are kept, and what follows them
	for i, g := 1, s.old; g != nil; i, g = i+1, g.older {
		if g.good(now) {
			n, last = i, &g.older
		}
	}
	dead := s.bury(last)
	if n >= MaxGenerations {
		s.old.dead = dead
		return newest
	}
	g := &generation{
		secret: s.Newest, salt: NewSalt(), replaced: now, grace: grace, until: forever, older: s.old, dead: dead,
	}
	next := Next(newest, g.salt)
	s.old, s.Newest = g, Hash(next)
	return next
}

// bury takes out the generations from last on, and returns what is remembered of
// them and of those before them.
func (s *Secrets) bury(last **generation) string {
	var dead []byte
	for g := *last; g != nil; g = g.older {
		dead = append(dead, g.secret[:deadSize]...)
	}
	if s.old != nil {
		dead = append(dead, s.old.dead...)
		s.old.dead = ""
	}
	*last = nil
	return string(dead[:min(len(dead), maxDead*deadSize)])
}

// Old returns the secrets before the newest as bytes, for [Secrets.SetOld]; nil:
// there are none.
func (s *Secrets) Old() []byte {
	if s.old == nil {
		return nil
	}
	out := append([]byte{byte(len(s.old.dead) / deadSize)}, s.old.dead...) //nolint:gosec // at most maxDead
	for g := s.old; g != nil; g = g.older {
		out = append(append(out, g.secret[:]...), g.salt[:]...)
		for _, n := range [...]int64{g.replaced, g.grace, g.until} {
			out = binary.BigEndian.AppendUint64(out, uint64(n)) //nolint:gosec // and back in SetOld
		}
	}
	return out
}

const generationSize = len(Sum{}) + len(Salt{}) + 3*8

// SetOld makes the secrets before the newest those of [Secrets.Old]. ok is false
// for any other bytes, and nothing is changed then.
func (s *Secrets) SetOld(old []byte) (ok bool) {
	if len(old) == 0 {
		s.old = nil
		return true
	}
	dead, rest := int(old[0]), old[1:]
	if dead > maxDead || len(rest) <= dead*deadSize || (len(rest)-dead*deadSize)%generationSize != 0 ||
		len(rest) > dead*deadSize+MaxGenerations*generationSize {
		return false
	}
	var first *generation
	for last, at := &first, rest[dead*deadSize:]; len(at) > 0; at = at[generationSize:] {
		g := &generation{secret: Sum(at[:len(Sum{})]), salt: Salt(at[len(Sum{}):][:len(Salt{})])}
		for i, n := range [...]*int64{&g.replaced, &g.grace, &g.until} {
			*n = int64(binary.BigEndian.Uint64(at[len(Sum{})+len(Salt{})+8*i:])) //nolint:gosec // see Old
		}
		*last, last = g, &g.older
	}
	first.dead = string(rest[:dead*deadSize])
	s.old = first
	return true
}
