package token

import (
	"encoding/binary"
	"math"
	"slices"
)

// Secrets hold what a store keeps of the secrets of one session: the hash of the newest secret,
// and the data to accept earlier ones for a while. All calls must use the same unit of time.
// Secrets are not safe for concurrent use.
type Secrets struct {
	Newest Sum

	old  *generation // newest first
	bond *bond       // nil: not bound to a device
}

// A generation is a replaced secret. It stays valid until a client shows its successor, and
// then for its grace. A bound secret stays valid until its own end.
type generation struct {
	secret   Sum
	salt     Salt  // derives the successor from this secret; zero if the successor belongs to a device
	replaced int64 // when the successor was made
	grace    int64
	until    int64 // the end of the grace; forever until a client shows the successor
	older    *generation
	dead     string // set in the newest generation only: deadSize bytes of the hash of each dead secret, newest first
}

const (
	forever = math.MaxInt64

	// MaxGenerations is the maximum number of old secrets of a session that are valid at once.
	MaxGenerations = 64

	// maxDead is how many dead secrets a session remembers.
	maxDead  = 7
	deadSize = 8
)

func (g *generation) good(now int64) bool {
	return now < g.until
}

// accept authenticates secret and returns its generation, or nil for the newest secret.
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

// Accepts reports whether secret is valid now.
func (s *Secrets) Accepts(secret string, now int64) bool {
	_, ok := s.accept(secret, now)
	return ok
}

// A Match is the result of a valid secret.
type Match struct {
	Newest  string // the secret that the client carries from now on: its own, or a successor
	Ends    int64  // when Newest ends; zero: with the session
	Changed bool   // the Secrets have changed

	before *generation // the newest generation before the secret
	noted  int         // how many generations Match has acknowledged
}

// Match authenticates secret. It notes that the client has shown it, which starts the grace of
// earlier secrets.
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
	default: // a device's secret cannot be derived from an earlier one
		if m.before = g.older; Bound(secret) {
			m.Ends = g.until
		}
	}
	m.noted = m.before.acknowledge(now)
	m.Changed = m.noted > 0
	return m, true
}

// Undo reverts the changes of Match, for a call that has failed.
func (m *Match) Undo() {
	for g := m.before; m.noted > 0; g = g.older {
		g.until = forever
		m.noted--
	}
}

// Reused reports whether secret, which is no longer accepted, was one of the session's secrets
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

// Replaced returns when a rotation made the newest secret. ok is false if a login or the
// creation of the session made it.
func (s *Secrets) Replaced() (at int64, ok bool) {
	if s.old == nil {
		return 0, false
	}
	return s.old.replaced, true
}

// Forget forgets all but the newest secret.
func (s *Secrets) Forget() { s.old, s.bond = nil, nil }

// acknowledge notes that a client has shown the successors of g and of all generations before
// it. It returns how many of these were new.
func (g *generation) acknowledge(now int64) (n int) {
	for ; g != nil && g.until == forever; g = g.older {
		g.until = now + g.grace
		n++
	}
	return n
}

// follow derives the newest secret from secret, which is of generation g.
func (s *Secrets) follow(secret string, g *generation) string {
	// The list goes from new to old, but the salts apply from old to new.
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

// Rotate makes a successor of newest, the newest secret, and returns it. It returns newest
// unchanged if too many old secrets are still valid, or if the session is bound to a device.
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

// replace makes next the newest secret, and g the generation of the previous one. It returns
// false and changes nothing if too many old secrets are still valid.
func (s *Secrets) replace(next string, g generation, now int64) bool {
	n, dead := s.removeDead(now)
	if n >= MaxGenerations {
		s.old.dead = dead
		return false
	}
	g.secret, g.replaced, g.older, g.dead = s.Newest, now, s.old, dead
	s.old, s.Newest = &g, Hash(next)
	return true
}

// removeDead removes the generations that are no longer valid. It returns how many are left, and the
// dead secrets to remember. It keeps a generation that is needed to derive the newest secret
// from an older, valid one. A device's secrets are not derived, so none is needed for them.
func (s *Secrets) removeDead(now int64) (left int, remembered string) {
	oldest := 0 // the position of the oldest valid generation
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

// Old returns everything but the newest secret as bytes, for [Secrets.SetOld]. It returns nil
// if there is nothing else.
func (s *Secrets) Old() []byte {
	out := s.bond.append(nil)
	if s.old == nil {
		return out
	}
	out = append(append(out, byte(len(s.old.dead)/deadSize)), s.old.dead...) //nolint:gosec // at most maxDead
	for g := s.old; g != nil; g = g.older {
		out = append(append(out, g.secret[:]...), g.salt[:]...)
		for _, n := range [...]int64{g.replaced, g.grace, g.until} {
			out = binary.BigEndian.AppendUint64(out, uint64(n)) //nolint:gosec // SetOld converts it back
		}
	}
	return out
}

const generationSize = len(Sum{}) + len(Salt{}) + 3*8

// SetOld restores everything but the newest secret from the bytes of [Secrets.Old]. For any
// other bytes it returns false and changes nothing.
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
