package redis

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// A record is the loaded content of a hash without the session's values. The names of the
// values' fields begin with a colon. The other fields have names of one letter:
//
//	n  the format's version, 2, and a random incarnation: it prevents writes to a later
//	   session with the same id. While a login has taken the session, a t and a nonce
//	   precede it, see scripts/take.lua
//	h  the hash of the newest secret
//	o  the secrets before it, see scripts/authenticate.lua
//	c  when the session was created, ms since 1970; absent if a login created it
//	t  when it was last refreshed, ms since 1970
//	i  its idle timeout, ms
//	a  its absolute timeout, ms
//	x  the last secrets that were removed from o: the start of each hash
//	r  when it was last rotated, ms since 1970; absent if no rotation followed the last login
//	g  the nonces of the last logins that were refused, see scripts/restore.lua
//	b  if it is bound to a device: when its newest secret ends, ms since 1970, and the
//	   device; see scripts/prove.lua
//	q  the challenges that the device has answered, see scripts/prove.lua
//	s  how many values it has, and their size, see scripts/values.lua
//
// A session with a user has more fields, see account.go:
//
//	u  the user
//	l  when the user last authenticated, ms since 1970
//	v  the level of that authentication, 1 to 255
//	p  1 if the client keeps its identifier when the browser ends
//	d0 to d5  the device, in pieces of 64 bytes: one byte with the length of the
//	   address, the address, the user agent
type record struct {
	incarnation string
	sum         token.Sum
	old         string // of oldSecretSize bytes each, the newest first
	removed     string // the starts of hashes, of startSize bytes each
	created     int64
	seen        int64
	idle        int64
	absolute    int64
	rotated     int64    // zero: no rotation since the last login
	device      string   // the device that the session is bound to; empty: none
	ends        int64    // when the newest secret ends; zero: with the session
	account     *account // nil: anonymous
}

const (
	version = "2"

	// taken is the first letter of an incarnation while a login has taken the session.
	taken = "t"

	// startSize is how many bytes of a secret's hash the record keeps after the secret has ended.
	startSize  = 8
	maxRemoved = 7

	valuePrefix = ":"

	// maxOldSecrets bounds how many old tokens of a session are valid at once.
	maxOldSecrets = 64
)

// errRecord means that the key holds no session, or a record of another version of this
// package. Such a key authenticates nobody.
var errRecord = errors.New("redis: record cannot be read")

// newIncarnation returns the field n of a new record.
func newIncarnation() string { return version + newNonce() }

func newNonce() string {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // documented never to fail
	return base64.RawURLEncoding.EncodeToString(nonce[:])
}

// parse reads a record. It fails with [session.ErrNotFound] if a login has taken the record,
// and with [errRecord] if the fields are not exactly a record.
func parse(fields map[string]string) (r record, err error) {
	if strings.HasPrefix(fields["n"], taken) {
		return record{}, session.ErrNotFound
	}
	number := func(name string) int64 {
		n, e := number(fields[name])
		if e != nil {
			err = e
		}
		return n
	}
	sum := fields["h"]
	r = record{
		incarnation: fields["n"],
		old:         fields["o"],
		removed:     fields["x"],
		seen:        number("t"),
		idle:        number("i"),
		absolute:    number("a"),
	}
	if _, ok := fields["c"]; ok || fields["l"] == "" {
		r.created = number("c")
	} else {
		r.created = number("l")
	}
	if _, ok := fields["r"]; ok {
		r.rotated = number("r")
	}
	var known, readable bool
	r.account, known = parseAccount(fields)
	r.device, r.ends, readable = parseBinding(fields)
	if err != nil || len(r.incarnation) < 2 || r.incarnation[:1] != version || !known || !readable ||
		len(sum) != len(r.sum) || len(r.old)%oldSecretSize != 0 ||
		len(r.removed)%startSize != 0 || len(r.removed) > maxRemoved*startSize {
		return record{}, errRecord
	}
	copy(r.sum[:], sum)
	return r, nil
}

func number(field string) (int64, error) {
	n, err := strconv.ParseUint(field, 10, 50) // at least 15 digits fit, far from overflow
	return int64(n), err
}

// An oldSecret is a secret that a rotation has replaced: its hash, the salt that leads to its
// successor, and its state. See scripts/authenticate.lua.
type oldSecret string

const (
	oldSecretSize = len(token.Sum{}) + len(token.Salt{}) + 1 + 13
	stateAt       = len(token.Sum{}) + len(token.Salt{})
)

func (g oldSecret) is(sum token.Sum) bool {
	return token.Equal(token.Sum([]byte(g[:len(sum)])), sum)
}

func (g oldSecret) salt() token.Salt {
	return token.Salt([]byte(g[len(token.Sum{}):stateAt]))
}

// ends returns when the token with this secret ends, or zero if it ends with the session.
func (g oldSecret) ends(secret string) (int64, error) {
	if g.unseen() || !token.Bound(secret) {
		return 0, nil
	}
	return number(string(g[stateAt+1:]))
}

// unseen reports whether no client has presented a successor of this secret yet.
func (g oldSecret) unseen() bool { return g[stateAt] == 'g' }

// oldSecret returns the i-th old secret; 0 is the newest.
func (r *record) oldSecret(i int) oldSecret {
	return oldSecret(r.old[i*oldSecretSize : (i+1)*oldSecretSize])
}

func (r *record) oldSecrets() int { return len(r.old) / oldSecretSize }

// unseen reports whether the newest secret was never presented.
func (r *record) unseen() bool {
	return r.oldSecrets() > 0 && r.oldSecret(0).unseen()
}

// hadSecret reports whether sum is the hash of an old secret, valid or not.
func (r *record) hadSecret(sum token.Sum) bool {
	for i := range r.oldSecrets() {
		if r.oldSecret(i).is(sum) {
			return true
		}
	}
	return false
}

// removedSecret reports whether sum is the hash of an older secret that is no longer kept.
func (r *record) removedSecret(sum token.Sum) bool {
	for i := 0; i < len(r.removed); i += startSize {
		if r.removed[i:i+startSize] == string(sum[:startSize]) {
			return true
		}
	}
	return false
}

// follow walks from a secret of the session to its newest successor. ends is the time when
// that successor ends, or zero if it ends with the session.
func (r *record) follow(secret string) (newest string, ends int64, ok bool) {
	sum := token.Hash(secret)
	if token.Equal(sum, r.sum) {
		return secret, r.ends, true
	}
	for i := range r.oldSecrets() {
		if !r.oldSecret(i).is(sum) {
			continue
		}
		if r.device != "" { // no secret leads to the secret of a device
			ends, err := r.oldSecret(i).ends(secret)
			return secret, ends, err == nil
		}
		for ; i >= 0; i-- {
			secret = token.Next(secret, r.oldSecret(i).salt())
		}
		return secret, r.ends, token.Equal(token.Hash(secret), r.sum)
	}
	return "", 0, false
}

// info describes the session of a record. Its token ends at ends; zero means with the session.
func (r *record) info(id string, ends int64) session.Info {
	info := session.Info{
		ID:        id,
		CreatedAt: time.UnixMilli(r.created),
		LastSeen:  time.UnixMilli(r.seen),
		RotatedAt: time.UnixMilli(cmp.Or(r.rotated, r.began())),
	}
	end := r.began() + r.absolute
	info.IdleDeadline, info.AbsoluteDeadline = time.UnixMilli(min(r.seen+r.idle, end)), time.UnixMilli(end)
	if info.Bound = r.device != ""; ends != 0 {
		info.ProvedUntil = time.UnixMilli(ends)
	}
	if a := r.account; a != nil {
		info.User, info.Level, info.AuthenticatedAt = a.user, a.level, time.UnixMilli(a.authenticated)
		info.Persistent, info.Address, info.UserAgent = a.persistent, a.address, a.userAgent
	}
	return info
}

// began returns when the absolute timeout began.
func (r *record) began() int64 {
	if r.account != nil {
		return r.account.authenticated
	}
	return r.created
}

// user returns the user of the session, or an empty string if it is anonymous.
func (r *record) user() string {
	if r.account == nil {
		return ""
	}
	return r.account.user
}

// pairs reads the reply of HGETALL from a script.
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
