package redis

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/mist-contrib/session/internal/token"
)

// A record is what a hash holds besides the session's values, as it was loaded.
// Its fields have names of one letter, those of values begin with a colon:
//
//	n  the format's version, 1, and the incarnation: random, so that nobody
//	   writes to a session of the same id that was made later
//	h  the hash of the newest secret
//	o  the secrets before it, see scripts/present.lua
//	c  when the session was made, ms since 1970
//	t  when it was refreshed last, ms since 1970
//	i  its idle timeout, ms
//	a  its absolute timeout, ms
type record struct {
	incarnation string
	sum         token.Sum
	old         string // of whole generations
	created     int64
	seen        int64
	idle        int64
	absolute    int64
}

const (
	version = "1"

	valuePrefix = ":"

	// maxGenerations bounds how many old tokens of a session are good at once.
	maxGenerations = 64
)

// errRecord means that the key of a session holds something else, or a record of
// another version of this package. It authenticates nobody.
var errRecord = errors.New("redis: record cannot be read")

// newIncarnation returns the field n of a new record.
func newIncarnation() string {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // documented never to fail
	return version + base64.RawURLEncoding.EncodeToString(nonce[:])
}

// parse reads a record. Its error is [errRecord] for whatever is not exactly one.
func parse(fields map[string]string) (r record, err error) {
	number := func(name string) int64 {
		n, e := strconv.ParseUint(fields[name], 10, 50) // 15 digits and more, far from overflow
		if e != nil {
			err = e
		}
		return int64(n)
	}
	sum := fields["h"]
	r = record{
		incarnation: fields["n"],
		old:         fields["o"],
		created:     number("c"),
		seen:        number("t"),
		idle:        number("i"),
		absolute:    number("a"),
	}
	if err != nil || len(r.incarnation) < 2 || r.incarnation[:1] != version ||
		len(sum) != len(r.sum) || len(r.old)%generationSize != 0 {
		return record{}, errRecord
	}
	copy(r.sum[:], sum)
	return r, nil
}

// A generation is a secret that a rotation has replaced, see
// scripts/present.lua: its hash, the salt that leads to its successor, and its
// state.
type generation string

const (
	generationSize = len(token.Sum{}) + len(token.Salt{}) + 1 + 13
	stateAt        = len(token.Sum{}) + len(token.Salt{})
)

func (g generation) is(sum token.Sum) bool {
	return token.Equal(token.Sum([]byte(g[:len(sum)])), sum)
}

func (g generation) salt() token.Salt {
	return token.Salt([]byte(g[len(token.Sum{}):stateAt]))
}

// unseen reports whether no client has shown a successor yet.
func (g generation) unseen() bool { return g[stateAt] == 'g' }

// generation returns the i-th old secret, the newest is 0.
func (r *record) generation(i int) generation {
	return generation(r.old[i*generationSize : (i+1)*generationSize])
}

func (r *record) generations() int { return len(r.old) / generationSize }

// unseen reports whether the newest secret was never presented.
func (r *record) unseen() bool {
	return r.generations() > 0 && r.generation(0).unseen()
}

// once reports whether sum is that of an old secret, good still or not.
func (r *record) once(sum token.Sum) bool {
	for i := range r.generations() {
		if r.generation(i).is(sum) {
			return true
		}
	}
	return false
}

// follow walks from a secret of the session to its newest one.
func (r *record) follow(secret string) (newest string, ok bool) {
	sum := token.Hash(secret)
	if token.Equal(sum, r.sum) {
		return secret, true
	}
	for i := range r.generations() {
		if !r.generation(i).is(sum) {
			continue
		}
		for ; i >= 0; i-- {
			secret = token.Next(secret, r.generation(i).salt())
		}
		return secret, token.Equal(token.Hash(secret), r.sum)
	}
	return "", false
}

// deadline is when the session ends unless it is refreshed.
func (r *record) deadline() time.Time {
	return time.UnixMilli(min(r.seen+r.idle, r.created+r.absolute))
}

// pairs reads the reply of HGETALL in a script.
func pairs(reply []any) (fields map[string]string, ok bool) {
	fields = make(map[string]string, len(reply)/2)
	for i := 0; i+1 < len(reply); i += 2 {
		name, isName := reply[i].(string)
		value, isValue := reply[i+1].(string)
		if !isName || !isValue {
			return nil, false
		}
		fields[name] = value
	}
	return fields, len(reply)%2 == 0
}
