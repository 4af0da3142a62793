package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
)

// Of every user there is one index of all sessions, see scripts/index.lua, and one
// more for every slot that has some of them, see scripts/login.lua. The first is
// written before a session becomes the user's, so nothing is alive that it does not
// list. The other is in the slot of the session, and written in the same step:
// whatever a failover loses, it loses no entry whose session it keeps.
//
// The name of an index ends with a colon, and no id has one: whatever the prefixes
// of two stores are, no session of one has the name of an index of the other.

// userKey is the index of a user. Their name may be anything, and anybody's
// business is not that of who looks at keys.
func (st *Store) userKey(user string) string {
	return st.prefix + "user:" + userHash(user) + ":"
}

func userHash(user string) string {
	sum := sha256.Sum256([]byte(user))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// slots is a name for every slot of a Cluster: what to put between braces.
type slots struct {
	once sync.Once
	tags []string // one: everything is in one slot, or slots mean nothing
}

const (
	slotCount = 1 << 14
	oneTag    = "-"
)

// slotTags returns the tags of all slots that sessions can be in.
func (st *Store) slotTags() []string {
	st.slots.once.Do(func() {
		if _, ok := st.Client.(cluster); !ok || hashed(st.prefix) != st.prefix {
			st.slots.tags = []string{oneTag}
			return
		}
		st.slots.tags = make([]string, slotCount)
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i, found := 0, 0; found < slotCount; i++ {
			tag := string([]byte{letters[i>>12], letters[i>>6&63], letters[i&63]})
			slot := keySlot(st.slotKey(zeroHash, tag))
			if st.slots.tags[slot] == "" {
				st.slots.tags[slot] = tag
				found++
			}
		}
	})
	return st.slots.tags
}

// zeroHash stands for a user of whom the table of slots is made.
var zeroHash = strings.Repeat("A", 22) //nolint:gochecknoglobals // a constant

func (st *Store) slotKey(hash, tag string) string {
	return st.prefix + "user:{" + tag + "}" + hash + ":"
}

// slotKeyFor is the index of a user's sessions in the slot of a record.
func (st *Store) slotKeyFor(hash, key string) string {
	tags := st.slotTags()
	if len(tags) == 1 {
		return st.slotKey(hash, oneTag)
	}
	// With a prefix such as "a{}" the whole name counts. A CRC is linear: the slots
	// of another user are the same ones, all moved by the same difference.
	moved := keySlot(st.slotKey(hash, tags[0]))
	return st.slotKey(hash, tags[keySlot(key)^moved])
}

// hashed is the part of a key that its slot depends on.
func hashed(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

// keySlot is the slot of a key in a Cluster: CRC16, XMODEM.
func keySlot(key string) int {
	var crc uint16
	for _, b := range []byte(hashed(key)) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}
