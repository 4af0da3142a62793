package sealed

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// A state holds the whole session. It never changes: a write makes a new state.
type state struct {
	facts
	plain []byte // the facts as bytes

	once sync.Once
	seal string // of plain; made on demand
}

type facts struct {
	id         string
	user       string // empty: anonymous
	level      session.Level
	persistent bool

	// Nanoseconds since 1970.
	created       int64
	rotated       int64 // the last login or rotation, or else created
	authenticated int64 // the last login
	seen          int64 // the last refresh or login

	idle, absolute int64 // timeouts, in nanoseconds
	values         values.Block
}

// newState returns the state that holds f.
func newState(f facts) *state {
	plain := make([]byte, 0, 64+len(f.user)+len(f.values)) // enough if the id is a UUID
	return &state{facts: f, plain: f.append(plain)}
}

// uuidLen is the length of a UUID as text (RFC 9562).
const uuidLen = 36

const (
	flagUUID       = 1 << iota // the id is stored in 16 bytes
	flagUser                   // the session has a user
	flagPersistent             // Login.Persistent was set
	flagsKnown     = flagUUID | flagUser | flagPersistent
)

// deadlines returns when the session ends without a refresh, and when it ends at the latest.
func (f *facts) deadlines() (idle, absolute int64) {
	absolute = max(f.created, f.authenticated) + f.absolute
	return min(f.seen+f.idle, absolute), absolute
}

func (f *facts) info() session.Info {
	idle, absolute := f.deadlines()
	info := session.Info{
		ID: f.id, User: f.user, Level: f.level, Persistent: f.persistent,
		CreatedAt: at(f.created), LastSeen: at(f.seen), RotatedAt: at(f.rotated),
		IdleDeadline: at(idle), AbsoluteDeadline: at(absolute),
	}
	if f.user != "" {
		info.AuthenticatedAt = at(f.authenticated)
	}
	return info
}

// spare returns how many bytes a write of values must leave free. A session that just fits can
// then still be refreshed and rotated, and its visitor can log in as a user with a name of 64
// bytes.
func (f *facts) spare() int {
	const longest = binary.MaxVarintLen64 - 1 // for 200 years
	n := 2*longest - varintLen(f.rotated-f.created) - varintLen(f.seen-f.rotated)
	if f.user == "" {
		return n + 64 + 2 + longest + 4 // the user, its length, the level, the time of the login, other timeouts
	}
	return n + longest - varintLen(f.authenticated-f.rotated)
}

func varintLen(n int64) int {
	return (bits.Len64(uint64(n)<<1^uint64(n>>63)|1) + 6) / 7 //nolint:gosec // as encoding/binary does
}

// at converts a time of the store to a time.Time.
func at(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds) }

// append appends the facts to dst. It stores times as differences, because most differences are
// small.
func (f *facts) append(dst []byte) []byte {
	var flags byte
	u, err := uuid.Parse(f.id)
	if err == nil && len(f.id) == uuidLen && strings.ToLower(f.id) == f.id { // the form that readFacts restores
		flags |= flagUUID
	}
	if f.user != "" {
		flags |= flagUser
	}
	if f.persistent {
		flags |= flagPersistent
	}
	dst = append(dst, flags)
	if flags&flagUUID != 0 {
		dst = append(dst, u[:]...)
	} else {
		dst = appendString(dst, f.id)
	}
	for _, n := range []int64{f.created, f.rotated - f.created, f.seen - f.rotated, f.idle, f.absolute} {
		dst = binary.AppendVarint(dst, n)
	}
	if f.user != "" {
		dst = appendString(dst, f.user)
		dst = append(dst, byte(f.level))
		dst = binary.AppendVarint(dst, f.authenticated-f.rotated)
	}
	return append(dst, f.values...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// readFacts reads what append wrote. ok is false for other bytes, for example from a later
// version of this package.
func readFacts(plain []byte) (s facts, ok bool) {
	r := reader{rest: plain}
	flags := r.byte()
	if flags&flagUUID != 0 {
		if u, err := uuid.FromBytes(r.bytes(uint64(len(uuid.UUID{})))); err == nil {
			s.id = u.String()
		}
	} else {
		s.id = r.string()
	}
	s.created = r.varint()
	s.rotated = s.created + r.varint()
	s.seen = s.rotated + r.varint()
	s.idle, s.absolute = r.varint(), r.varint()
	if flags&flagUser != 0 {
		s.user = r.string()
		s.level = session.Level(r.byte())
		s.authenticated = s.rotated + r.varint()
		r.bad = r.bad || s.user == ""
	}
	s.persistent = flags&flagPersistent != 0
	s.values, ok = values.ReadBlock(string(r.rest))
	return s, ok && !r.bad && flags&^flagsKnown == 0 && token.ValidID(s.id)
}

// A reader reads numbers and text. It sets bad if one is missing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) string() string {
	n, size := binary.Uvarint(r.rest)
	r.bytes(uint64(max(size, 0)))
	r.bad = r.bad || size <= 0
	return string(r.bytes(n))
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.rest)
	r.bytes(uint64(max(size, 0)))
	r.bad = r.bad || size <= 0
	return n
}
