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

	old  *generation // newest first
	bond *bond       // nil: bound to no device
}

// A generation is a secret that another has replaced. It is good until its
// successor was seen, and then for its grace; a bound one until its own end.
type generation struct {
	secret   Sum
	salt     Salt  // leads from this secret to its successor; zero where that is a device's
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
		return nil, s.bond == nil || now < s.bond.ends
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

// A Match is what a good secret stands for.
type Match struct {
	Newest  string // what the client carries from now on: the secret itself, or one that follows from it
	Ends    int64  // when Newest ends; zero: with the session
	Changed bool   // there was something to note

	before *generation // that secret
	noted  int         // so many of them
}

// Match authenticates secret. It notes that the client has shown it, which starts the
// grace of the ones before.
func (s *Secrets) Match(secret string, now int64) (m Match, ok bool) {
	g, ok := s.accept(secret, now)
	m.Newest = secret
	switch {
	case !ok:
		return Match{}, false
	case g == nil:
		m.Ends, m.before = s.Ends(), s.old
	case s.bond == nil:
		m.Newest, m.before = s.follow(secret, g), g.older
	default: // no secret leads to one of a device
		if m.before = g.older; Bound(secret) {
			m.Ends = g.until
		}
	}
	m.noted = m.before.acknowledge(now)
	m.Changed = m.noted > 0
	return m, true
}

// Undo makes the secrets what they were before Match, for a call that has failed.
func (m *Match) Undo() {
	for g := m.before; m.noted > 0; g = g.older {
		g.until = forever
		m.noted--
	}
}

// Reused reports whether secret, which is not accepted, was the session's once
// since its last login.
func (s *Secrets) Reused(secret string) bool {
	sum := Hash(secret)
	if Equal(sum, s.Newest) {
		return true
	}
	if s.old == nil {
		return false
	}
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

// Forget forgets all but the newest secret.
func (s *Secrets) Forget() { s.old, s.bond = nil, nil }

// acknowledge notes that the successor of g, and so of all before it, was seen. It
// returns of how many it was not known.
func (g *generation) acknowledge(now int64) (n int) {
	for ; g != nil && g.until == forever; g = g.older {
		g.until = now + g.grace
		n++
	}
	return n
}

// follow walks from the secret of generation g to the newest.
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

// Rotate makes the secret that follows newest, the present one, and returns it. It
// returns the present one where too many old ones are good still, or the session is
// bound to a device.
func (s *Secrets) Rotate(newest string, grace, now int64) string {
	if s.bond != nil {
		return newest
	}
	salt := NewSalt()
	next := Next(newest, salt)
	if !s.replace(next, generation{salt: salt, grace: grace, until: forever}, now) {
		return newest
	}
	return next
}

// replace makes next the newest secret, and g what is known of the one before. It
// returns false, and does neither, where too many old ones are good still.
func (s *Secrets) replace(next string, g generation, now int64) bool {
	n, dead := s.bury(now)
	if n >= MaxGenerations {
		s.old.dead = dead
		return false
	}
	g.secret, g.replaced, g.older, g.dead = s.Newest, now, s.old, dead
	s.old, s.Newest = &g, Hash(next)
	return true
}

// bury takes out the generations that are not good, and returns how many are left, and
// what is remembered of those that are not. One that leads a good one to the newest
// stays; to the secrets of a device nothing leads.
func (s *Secrets) bury(now int64) (left int, remembered string) {
	oldest := 0 // of those that stay
	for i, g := 1, s.old; g != nil; i, g = i+1, g.older {
		if g.good(now) {
			oldest = i
		}
	}
	var dead []byte
	if s.old != nil {
		remembered, s.old.dead = s.old.dead, ""
	}
	for i, at := 1, &s.old; *at != nil; i++ {
		if g := *at; g.good(now) || i < oldest && s.bond == nil {
			left, at = left+1, &g.older
		} else {
			dead, *at = append(dead, g.secret[:deadSize]...), g.older
		}
	}
	dead = append(dead, remembered...)
	return left, string(dead[:min(len(dead), maxDead*deadSize)])
}

// Old returns all but the newest secret as bytes, for [Secrets.SetOld]; nil: there is
// nothing else.
func (s *Secrets) Old() []byte {
	out := s.bond.append(nil)
	if s.old == nil {
		return out
	}
	out = append(append(out, byte(len(s.old.dead)/deadSize)), s.old.dead...) //nolint:gosec // at most maxDead
	for g := s.old; g != nil; g = g.older {
		out = append(append(out, g.secret[:]...), g.salt[:]...)
		for _, n := range [...]int64{g.replaced, g.grace, g.until} {
			out = binary.BigEndian.AppendUint64(out, uint64(n)) //nolint:gosec // and back in SetOld
		}
	}
	return out
}

const generationSize = len(Sum{}) + len(Salt{}) + 3*8

// SetOld makes all but the newest secret those of [Secrets.Old]. ok is false for any
// other bytes, and nothing is changed then.
func (s *Secrets) SetOld(old []byte) (ok bool) {
	b, old, ok := readBond(old)
	if !ok {
		return false
	}
	if len(old) == 0 {
		s.old, s.bond = nil, b
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
	s.old, s.bond = first, b
	return true
}
