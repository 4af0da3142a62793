package memory

import (
	"container/list"
	"math"
	"slices"

	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// A record is a session in the store. Its shard's lock guards it, but for what
// never changes.
//
// Of one that a user has, entry and evicted are guarded by the lock of the
// [users] alone; seen and login change under both locks, so that either is
// enough to read them.
type record struct {
	data    string // the id and behind it the values, one piece of memory
	secret  token.Sum
	old     *generation   // the secrets before, newest first
	created int64         // never changes; all times are nanoseconds since the store's start
	seen    int64         // the last Refresh or login
	login   *login        // whose it is; nil: nobody's, for its whole life
	entry   *list.Element // among the sessions of its account
	idLen   uint8         // never changes
	dead    bool          // removed: nobody writes to it any more
	evicted bool          // a login did not count it, so nothing may prolong it; soon dead
	place   int32         // in its slot of the calendar
	due     int64         // its slot of the calendar
	next    *record       // in its bucket of the table
}

func (r *record) id() string { return r.data[:r.idLen] }

func (r *record) values() values.Block { return values.Block(r.data[r.idLen:]) }

// rotated is when the present secret was made.
func (r *record) rotated() int64 {
	switch {
	case r.old != nil: // a login leaves none, a rotation at least one
		return r.old.replaced
	case r.login != nil:
		return r.login.at
	}
	return r.created
}

// A generation is a secret that a rotation has replaced. It is good until its
// successor was seen, and then for its grace.
type generation struct {
	secret   token.Sum
	salt     token.Salt // leads from this secret to its successor
	replaced int64      // when the successor was made
	grace    int64
	until    int64 // the end of the grace; forever until the successor was opened
	older    *generation
	dead     string // of the newest: the secrets behind the oldest, deadSize bytes of each sum, newest first
}

const (
	forever = math.MaxInt64

	// maxGenerations bounds how many old tokens of a session are good at once.
	maxGenerations = 64

	// maxDead is how many secrets are remembered that are no generation any more.
	maxDead  = 7
	deadSize = 8
)

func (g *generation) good(now int64) bool {
	return now < g.until
}

// accept authenticates secret: it returns the generation that it is of, nil for
// the newest secret.
func (r *record) accept(secret string, now int64) (g *generation, ok bool) {
	sum := token.Hash(secret)
	if token.Equal(sum, r.secret) {
		return nil, true
	}
	for g := r.old; g != nil; g = g.older {
		if g.good(now) && token.Equal(sum, g.secret) {
			return g, true
		}
	}
	return nil, false
}

// match authenticates secret: it returns the newest secret of the session,
// which is secret itself or one that follows from it. It notes that the client
// has shown secret, which starts the grace of the ones before.
func (r *record) match(secret string, now int64) (newest string, ok bool) {
	g, ok := r.accept(secret, now)
	switch {
	case !ok:
		return "", false
	case g == nil:
		r.acknowledge(r.old, now)
		return secret, true
	}
	r.acknowledge(g.older, now)
	return r.follow(secret, g), true
}

// reused reports whether secret, which is not accepted, was the session's once
// since its last login.
func (r *record) reused(secret string) bool {
	if r.old == nil {
		return false
	}
	sum := token.Hash(secret)
	for g := r.old; g != nil; g = g.older {
		if token.Equal(sum, g.secret) {
			return true
		}
	}
	for dead := r.old.dead; dead != ""; dead = dead[deadSize:] {
		if dead[:deadSize] == string(sum[:deadSize]) {
			return true
		}
	}
	return false
}

// acknowledge notes that the successor of g, and so of all before it, was seen.
func (r *record) acknowledge(g *generation, now int64) {
	for ; g != nil && g.until == forever; g = g.older {
		g.until = now + g.grace
	}
}

// follow walks from the secret of generation g to the newest one.
func (r *record) follow(secret string, g *generation) string {
	// The list leads from new to old, the salts from old to new.
	var salts []token.Salt
	for n := r.old; ; n = n.older {
		salts = append(salts, n.salt)
		if n == g {
			break
		}
	}
	for _, salt := range slices.Backward(salts) {
		secret = token.Next(secret, salt)
	}
	return secret
}

// rotate gives the record the secret that follows newest, its present one, and
// returns it; the present one where too many old ones are good still.
func (r *record) rotate(newest string, grace, now int64) string {
	n, last := 0, &r.old // how many are kept, and what follows them
	for i, g := 1, r.old; g != nil; i, g = i+1, g.older {
		if g.good(now) {
			n, last = i, &g.older
		}
	}
	dead := r.bury(last)
	if n >= maxGenerations {
		r.old.dead = dead
		return newest
	}
	g := &generation{
		secret: r.secret, salt: token.NewSalt(), replaced: now, grace: grace, until: forever, older: r.old, dead: dead,
	}
	next := token.Next(newest, g.salt)
	r.old, r.secret = g, token.Hash(next)
	return next
}

// bury takes out the generations from last on, and returns what is remembered of
// them and of those before them.
func (r *record) bury(last **generation) string {
	var dead []byte
	for g := *last; g != nil; g = g.older {
		dead = append(dead, g.secret[:deadSize]...)
	}
	if r.old != nil {
		dead = append(dead, r.old.dead...)
		r.old.dead = ""
	}
	*last = nil
	return string(dead[:min(len(dead), maxDead*deadSize)])
}
