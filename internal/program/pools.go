package program

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

type (
	couple struct{ A, B int }
	label  string
)

// Register makes the values of programs storable.
func Register() {
	session.Register[couple]()
	session.Register[*couple]()
	session.Register[label]()
	session.Register[[]string]()
	session.Register[map[string]int]()
}

// A step selects one of these values by a byte. The pools are small, so that steps hit
// the same values.
//
//nolint:gochecknoglobals // never changes
var (
	// IDs are ids of sessions that no login began. Users are the users of logins.
	IDs   = []string{"a", "B-_9", strings.Repeat("x", 128)}
	Users = []string{"ada", "ada", "\x00:{}*", strings.Repeat("u", 256)}

	badIDs   = []string{"", "a b", "a.b", "é", "a\x00", strings.Repeat("x", 129), "a*", "{a}", "session:a"}
	badUsers = []string{"", strings.Repeat("u", 257)}

	keyPool = []string{
		"a", "n", "h", "o", "c", "t", "i", "a\x00b", "", ":", ":n", ":h", "\x00", "a:b", "\xff\xfe", "-", "=", strings.Repeat("k", 256),
		strings.Repeat("k", 257),
	}

	storable = []any{
		1, 2, true, false, "", "x", "\x00\xff", "=", "-", strings.Repeat("long ", 100), []byte(nil),
		[]byte{},
		[]byte{0, 255},
		math.MinInt, int8(-1), int16(2), int32(-3), int64(math.MaxInt64), uint(5), uint8(6), uint16(7), uint32(8), uint64(math.MaxUint64),
		float32(0.5), math.Inf(-1), math.NaN(), math.Copysign(0, -1),
		time.Time{},
		time.Unix(1, 2).UTC(),
		time.Unix(3, 4).In(time.FixedZone("", 5400)),
		couple{1, 2},
		&couple{3, 4}, (*couple)(nil), label("x"), []string(nil),
		[]string{},
		[]string{"a", ""},
		map[string]int(nil),
		map[string]int{"a": 1},
	}
	unstorable = []any{
		nil, func() {}, make(chan int), complex(1, 2),
		struct{ X int }{1},
		time.Second,
		[]int{1},
		strings.Repeat("v", 1<<20), make([]byte, 1<<20),
		[]string{strings.Repeat("v", 1<<20)},
	}

	large = strings.Repeat("v", session.MaxValueSize-1)

	graces    = []time.Duration{0, time.Hour, math.MaxInt64, 0}
	idles     = []time.Duration{0, time.Minute, time.Hour}
	absolutes = []time.Duration{0, time.Hour, 400 * 24 * time.Hour}

	sentinels = map[string]error{
		"ErrNotFound": session.ErrNotFound, "ErrMultiple": session.ErrMultiple, "ErrExists": session.ErrExists,
		"ErrInvalidID": session.ErrInvalidID, "ErrFull": session.ErrFull, "ErrValue": session.ErrValue,
		"ErrTooLarge": session.ErrTooLarge, "ErrHeaderWritten": session.ErrHeaderWritten, "ErrUnsupported": errors.ErrUnsupported,
		"ErrReused": session.ErrReused, "ErrRevoked": session.ErrRevoked, "ErrUserLimit": session.ErrUserLimit, "ErrInvalidUser": session.ErrInvalidUser,
		"ErrExpiredIdle": session.ErrExpiredIdle, "ErrExpiredAbsolute": session.ErrExpiredAbsolute,
		"ErrBound": session.ErrBound, "ErrUnbound": session.ErrUnbound, "ErrReplayed": session.ErrReplayed, "ErrUnproved": session.ErrUnproved,
		"Canceled": context.Canceled, "DeadlineExceeded": context.DeadlineExceeded, "the function's": errRefuses,
	}
	errRefuses = errors.New("the function refuses")
)

// pick returns an element of list, or in one of eight cases an element of others.
func pick[T any](b byte, list, others []T) T {
	if b >= 224 && len(others) > 0 {
		return others[int(b-224)%len(others)]
	}
	return list[int(b)%len(list)]
}
