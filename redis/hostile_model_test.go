package redis_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// planted is the fields that somebody stored. What it says is read off the
// description of a record alone.
type planted map[string]string

var (
	ownNumber   = regexp.MustCompile(`^(0|[1-9][0-9]{0,13})$`) // as the store writes numbers
	wholeNumber = regexp.MustCompile(`^[-+]?[0-9]+$`)          // may be refused, or not
)

func (r planted) readable() ending {
	if !r.ours() {
		return endsUnreadable
	}
	v := endsWell
	for _, name := range []string{"c", "t", "i", "a"} {
		_, err := strconv.ParseInt(r[name], 10, 64)
		switch {
		case !wholeNumber.MatchString(r[name]) || err != nil:
			return endsUnreadable
		case !ownNumber.MatchString(r[name]):
			v |= endsUnreadable
		}
	}
	if x := r["x"]; len(x)%8 != 0 || len(x) > 56 {
		return endsUnreadable
	}
	if n, ok := r["r"]; ok && !ownNumber.MatchString(n) {
		v |= endsUnreadable
		if !wholeNumber.MatchString(n) {
			return endsUnreadable
		}
	}
	if r.login() == endsUnreadable {
		return endsUnreadable
	}
	return v
}

// login is what the fields of a login are good for.
func (r planted) login() ending {
	user, ok := r["u"]
	if !ok {
		for _, name := range []string{"l", "v", "p", "d0"} {
			if _, ok := r[name]; ok {
				return endsUnreadable
			}
		}
		return endsWell
	}
	level, err := strconv.ParseUint(r["v"], 10, 64)
	if _, e := strconv.ParseUint(r["l"], 10, 50); e != nil || err != nil || level < 1 || level > 255 || user == "" || len(user) > 256 {
		return endsUnreadable
	}
	if p, ok := r["p"]; ok && p != "1" {
		return endsUnreadable
	}
	var device string
	for i := range 6 {
		device += r[fmt.Sprint("d", i)]
	}
	if device != "" && (int(device[0]) >= len(device) || device[0] > 64 || len(device)-1-int(device[0]) > 256) {
		return endsUnreadable
	}
	return endsWell
}

// ours is what the scripts can see without reading a number.
func (r planted) ours() bool {
	return len(r["n"]) > 1 && r["n"][0] == '1' && len(r["h"]) == 32 && len(r["o"])%62 == 0
}

var (
	wellFormed = regexp.MustCompile(`^(u[0-9]|g00)[0-9]*$`) // the state of an old secret; a grace has at most 11 digits
	stateAt    = 48
)

// presented is what comes of a secret where the record is readable.
func (r planted) presented(carried string) ending {
	_, secret, _ := strings.Cut(carried, ".")
	sum := sha256.Sum256([]byte(secret))
	v := endsNotFound
	if r["h"] == string(sum[:]) {
		v = endsWell
	}
	for entry := range slices.Chunk([]byte(r["o"]), 62) {
		if v&endsWell == 0 && bytes.HasPrefix(entry, sum[:]) {
			v |= endsWell | endsUnreadable // its time may have come, or its salt lead nowhere
		}
		if !wellFormed.Match(entry[stateAt:]) {
			v |= endsAnswer | endsUnreadable
		}
	}
	return v
}

func (r planted) opens(carried string) ending {
	v := r.readable()
	if v&endsWell != 0 {
		v = v&^endsWell | r.presented(carried)
	}
	return v
}

// rotates differs from opens in that Redis looks first, and not at the numbers.
func (r planted) rotates(carried string) ending {
	v := r.opens(carried)
	if len(r["o"])%62 != 0 {
		v |= endsAnswer
	}
	mended := maps.Clone(r)
	if delete(mended, "r"); mended.readable()&endsWell != 0 {
		v |= mended.presented(carried)
	}
	if r.readable()&endsWell == 0 && strings.HasPrefix(r["n"], "1") && len(r["h"]) == 32 && len(r["o"])%62 == 0 {
		v |= r.presented(carried)&^endsWell | endsAnswer
	}
	return v
}

// refreshes does not look at tokens.
func (r planted) refreshes() ending {
	v := endsWell | endsAnswer | endsUnreadable
	if len(r["n"]) < 1 || r["n"][0] != '1' {
		v = endsUnreadable
	}
	for _, name := range []string{"c", "t", "i", "a"} {
		if !strings.ContainsAny(r[name], "0123456789nN") { // NaN and Inf are numbers to Lua
			v = endsUnreadable
		}
	}
	if r.readable() == endsWell {
		v = endsWell
	}
	return v
}

// logsIn is what comes of a login of the hostage's user. It makes good much of what
// was wrong.
func (r planted) logsIn(user, carried string) ending {
	v := r.readable()
	if u, ok := r["u"]; ok && u != user {
		return v&^endsWell | endsNotFound | endsUnreadable
	}
	if v == endsWell {
		return r.presented(carried)
	}
	if !r.ours() {
		return endsUnreadable | endsNotFound
	}
	return v | r.presented(carried) | endsAnswer
}
