package memory

import (
	"slices"

	"github.com/mist-contrib/session/internal/token"
)

// A record is a session in the store. Its shard's lock guards it, but for what
// never changes.
type record struct {
	data    string // the id and behind it the values, one piece of memory
	secret  token.Sum
	old     *generation // the secrets before, newest first
	created int64       // never changes; all times are nanoseconds since the store's start
	seen    int64       // the last Refresh
	idLen   uint8       // never changes
	dead    bool        // removed: nobody writes to it any more
	place   int32       // in its slot of the calendar
	due     int64       // its slot of the calendar
	next    *record     // in its bucket of the table
}

func (r *record) id() string { return r.data[:r.idLen] }

func (r *record) values() block { return block(r.data[r.idLen:]) }

// A generation is a secret that a rotation has replaced. It is good until its
// successor was seen, and then for its grace.
type generation struct {
	secret token.Sum
	salt   token.Salt // leads from this secret to its successor
	grace  int64
	seen   bool  // the successor was opened
	until  int64 // the end of the grace, when seen
	older  *generation
}

func (g *generation) good(now int64) bool {
	return !g.seen || now < g.until
}

// maxGenerations bounds how many old tokens of a session are good at once.
const maxGenerations = 64

// match authenticates secret: it returns the newest secret of the session,
// which is secret itself or one that follows from it. It notes that the client
// has shown secret, which starts the grace of the ones before.
func (r *record) match(secret string, now int64) (newest string, ok bool) {
	sum := token.Hash(secret)
	if token.Equal(sum, r.secret) {
		r.acknowledge(r.old, now)
		return secret, true
	}
	for g := r.old; g != nil; g = g.older {
		if g.good(now) && token.Equal(sum, g.secret) {
			r.acknowledge(g.older, now)
			return r.follow(secret, g), true
		}
	}
	return "", false
}

// acknowledge notes that the successor of g, and so of all before it, was seen.
func (r *record) acknowledge(g *generation, now int64) {
	for ; g != nil && !g.seen; g = g.older {
		g.seen, g.until = true, now+g.grace
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
	*last = nil // those behind it are of no use any more
	if n >= maxGenerations {
		return newest
	}
	g := &generation{secret: r.secret, salt: token.NewSalt(), grace: grace, older: r.old}
	next := token.Next(newest, g.salt)
	r.old, r.secret = g, token.Hash(next)
	return next
}
