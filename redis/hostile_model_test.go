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

// taken reports whether a login has taken the session.
func (r planted) taken() bool { return strings.HasPrefix(r["n"], "t") }

// free reports whether the id is free again, because this package took the session.
func (r planted) free() bool { return r.taken() && len(r["n"]) > 12 && r["n"][12] == '2' }

func (r planted) readable() ending {
	switch {
	case r.taken():
		return endsNotFound
	case !r.ours():
		return endsUnreadable
	}
	v := endsWell
	for _, name := range []string{"c", "t", "i", "a"} {
		if _, ok := r[name]; name == "c" && !ok && r["l"] != "" {
			continue // it was made when somebody logged in
		}
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
	return len(r["n"]) > 1 && r["n"][0] == '2' && len(r["h"]) == 32 && len(r["o"])%62 == 0
}

var (
	wellFormed = regexp.MustCompile(`^(u[0-9]|g00)[0-9]*$`) // the state of an old secret; a grace has at most 11 digits
	stateAt    = 48
)

// presented is what comes of a secret where the record is readable.
func (r planted) presented(clientToken string) ending {
	_, secret, _ := strings.Cut(clientToken, ".")
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

func (r planted) opens(clientToken string) ending {
	v := r.readable()
	if v&endsWell != 0 {
		v = v&^endsWell | r.presented(clientToken)
	}
	return v
}

// rotates differs from opens in that Redis looks first, and not at the numbers.
func (r planted) rotates(clientToken string) ending {
	v := r.opens(clientToken)
	if len(r["o"])%62 != 0 {
		v |= endsAnswer
	}
	mended := maps.Clone(r)
	if delete(mended, "r"); mended.readable()&endsWell != 0 {
		v |= mended.presented(clientToken)
	}
	if r.readable()&endsWell == 0 && r.ours() {
		v |= r.presented(clientToken)&^endsWell | endsAnswer
	}
	return v
}

// refreshes does not look at tokens.
func (r planted) refreshes() ending {
	if r.taken() {
		return endsNotFound
	}
	if n := r["n"]; len(n) < 2 || n[0] != '2' {
		return endsUnreadable
	}
	made, proved := "c", "l"
	if _, ok := r["c"]; !ok {
		made = "l"
	}
	if _, ok := r["l"]; !ok {
		proved = "c"
	}
	for _, name := range []string{made, "t", "i", "a", proved} {
		if !shortNumber.MatchString(r[name]) {
			return endsUnreadable
		}
	}
	return endsWell
}

var shortNumber = regexp.MustCompile(`^[0-9]{1,15}$`)

// logsIn is what comes of a login. In a session of the user it makes good much of what
// was wrong, and from one of nobody only the values stay.
func (v *hostage) logsIn(r planted, user, clientToken string) ending {
	owner, owned := r["u"]
	mine := !v.anonymous() && user == hostageUser
	switch may := r.readable(); {
	case r.taken():
		return endsNotFound
	case !r.ours():
		return endsUnreadable
	case mine && owner != user, !mine && owned:
		return endsNotFound
	case may == endsWell:
		return r.presented(clientToken)
	case mine:
		return may | r.presented(clientToken)
	default:
		return may&^endsWell | r.presented(clientToken)&(endsNotFound|may)
	}
}
