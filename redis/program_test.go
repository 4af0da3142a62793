package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// A progStep is one call, the same on both stores: which it is, on what, and with
// what. A program is steps, one behind the other.
type progStep struct{ op, on, key, value, ctx, variant byte }

const stepSize = 6

func stepsOf(program []byte) []progStep {
	var all []progStep
	for b := range slices.Chunk(program, stepSize) {
		b = append(slices.Clone(b), make([]byte, stepSize-len(b))...)
		all = append(all, progStep{b[0], b[1], b[2], b[3], b[4], b[5]})
	}
	return all
}

type (
	couple struct{ A, B int }
	label  string
)

// What a step names by a byte. There are few of each, so that steps meet.
var (
	goodIDs = []string{"a", "B-_9", strings.Repeat("x", 128)}
	badIDs  = []string{"", "a b", "a.b", "é", "a\x00", strings.Repeat("x", 129), "a*", "{a}", "session:a"}

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

	sentinels = map[string]error{
		"ErrNotFound": session.ErrNotFound, "ErrMultiple": session.ErrMultiple, "ErrExists": session.ErrExists,
		"ErrInvalidID": session.ErrInvalidID, "ErrFull": session.ErrFull, "ErrValue": session.ErrValue,
		"ErrTooLarge": session.ErrTooLarge, "ErrHeaderWritten": session.ErrHeaderWritten, "ErrUnsupported": errors.ErrUnsupported,
		"ErrReused": session.ErrReused, "ErrRevoked": session.ErrRevoked, "ErrUserLimit": session.ErrUserLimit, "ErrInvalidUser": session.ErrInvalidUser,
		"Canceled": context.Canceled, "DeadlineExceeded": context.DeadlineExceeded, "the function's": errRefuses,
	}
	errRefuses = errors.New("the function refuses")
)

// pick is a value of a list. One time in eight it is one of the others.
func pick[T any](b byte, list, others []T) T {
	if b >= 224 && len(others) > 0 {
		return others[int(b-224)%len(others)]
	}
	return list[int(b)%len(list)]
}

// A rival is one of the stores, with what a program got from it.
type rival struct {
	store   session.UserStore
	objects [6]session.Session
	tokens  []string // in the order in which they were given out
	ids     []string // of the sessions that logins began, likewise
}

// An outcome is what one call did, in words that two stores can share.
type outcome struct {
	made   bool // it returned a session
	id     string
	token  int // of that session, by the order of issue; -1: none
	errors []string
	value  any
}

func (o outcome) equal(other outcome) bool {
	return o.made == other.made && o.id == other.id && o.token == other.token && slices.Equal(o.errors, other.errors) && equalValues(o.value, other.value)
}

func (o outcome) String() string {
	return fmt.Sprintf("session %t %.8q token %d errors %q value %T %.40v", o.made, o.id, o.token, o.errors, o.value, o.value)
}

// skipped is a step that found nothing to work on.
var skipped = outcome{errors: []string{"skipped"}}

// of says what the call was made with.
func (o outcome) of(what string) outcome {
	o.value = what
	return o
}

// equalValues compares as reflect.DeepEqual does, but for a NaN and a -0.
func equalValues(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValues)
	}
	return reflect.DeepEqual(a, b)
}

func failedWith(err error) outcome {
	o := outcome{token: -1}
	for name, is := range sentinels {
		if errors.Is(err, is) {
			o.errors = append(o.errors, name)
		}
	}
	slices.Sort(o.errors)
	if err != nil && o.errors == nil {
		o.errors = []string{"another"}
	}
	return o
}

// keep is the outcome of a call that returns a session.
func (sd *rival) keep(s session.Session, err error, st progStep) outcome {
	o := failedWith(err)
	o.made = s != nil
	if err != nil || s == nil {
		return o
	}
	o.id = s.ID()
	if !slices.Contains(goodIDs, o.id) && !slices.Contains(sd.ids, o.id) {
		sd.ids = append(sd.ids, o.id)
	}
	if carried := session.Token(s); carried != "" {
		if o.token = slices.Index(sd.tokens, carried); o.token < 0 {
			o.token = len(sd.tokens)
			sd.tokens = append(sd.tokens, carried)
		}
	}
	sd.objects[int(st.variant)%len(sd.objects)] = s
	return o
}

// carried is a token, one that was given out or what is made of one, and what
// to call it.
func (sd *rival) carried(st progStep) (carried, name string) {
	n := len(sd.tokens)
	if n == 0 {
		return "a." + strings.Repeat("A", 26), "unknown"
	}
	i := n - 1 - int(st.on&31)%min(n, 1+int(st.key)) // the last ones more often
	t := sd.tokens[i]
	id, secret, _ := strings.Cut(t, ".")
	_, foreign, _ := strings.Cut(sd.tokens[int(st.key)%n], ".")
	name = fmt.Sprintf("token %d", i)
	if st.on >= 224 {
		name = "malformed or foreign"
	}
	return pick(st.on, []string{t}, []string{
		"", ".", id, id + ".", "." + secret, t + "A", t[:len(t)-1], strings.ToLower(t), t + "\x00", id + "." + t, secret + "." + id,
		id + "." + strings.Repeat("B", 26), id + "." + foreign, "none." + secret, strings.Repeat("A", 1<<16),
	}), name
}

// object is an object that is open, or nil.
func (sd *rival) object(st progStep) session.Session {
	for i := range sd.objects {
		if s := sd.objects[(int(st.on)+i)%len(sd.objects)]; s != nil {
			return s
		}
	}
	return nil
}

// onSession makes the operation of a session of a call.
func onSession(call func(ctx context.Context, s session.Session, st progStep) (value any, err error)) func(context.Context, *rival, progStep) outcome {
	return func(ctx context.Context, sd *rival, st progStep) outcome {
		s := sd.object(st)
		if s == nil {
			return skipped
		}
		value, err := call(ctx, s, st)
		o := failedWith(err)
		o.id, o.value = s.ID(), value
		return o
	}
}

var operations = []struct {
	name string
	do   func(ctx context.Context, sd *rival, st progStep) outcome
}{
	{"Generate", func(ctx context.Context, sd *rival, st progStep) outcome {
		s, err := sd.store.Generate(ctx, pick(st.on, goodIDs, badIDs))
		return sd.keep(s, err, st)
	}},
	{"Open", func(ctx context.Context, sd *rival, st progStep) outcome {
		carried, name := sd.carried(st)
		s, err := sd.store.Open(ctx, carried)
		return sd.keep(s, err, st).of(name)
	}},
	{"Get", func(ctx context.Context, sd *rival, st progStep) outcome {
		s, err := sd.store.Get(ctx, sd.idOf(st))
		return sd.keep(s, err, st)
	}},
	{"Refresh", func(ctx context.Context, sd *rival, st progStep) outcome {
		return failedWith(sd.store.Refresh(ctx, sd.idOf(st)))
	}},
	{"Remove, twice", func(ctx context.Context, sd *rival, st progStep) outcome {
		if st.value < 128 { // less often than the others
			return skipped
		}
		id := sd.idOf(st)
		return failedWith(errors.Join(sd.store.Remove(ctx, id), sd.store.Remove(ctx, id)))
	}},
	{"Rotate", func(ctx context.Context, sd *rival, st progStep) outcome {
		grace := pick(st.value, []time.Duration{0, time.Hour, math.MaxInt64}, []time.Duration{-1, math.MinInt64})
		carried, name := sd.carried(st)
		s, err := sd.store.Rotate(ctx, carried, grace)
		return sd.keep(s, err, st).of(name)
	}},
	{"Login", logsIn},
	{"UserSessions", listsUser},
	{"RemoveUserSessions", revokesUser},
	{"Session.Get", onSession(func(ctx context.Context, s session.Session, st progStep) (any, error) {
		return s.Get(ctx, pick(st.key, keyPool, nil))
	})},
	{"Set", onSession(func(ctx context.Context, s session.Session, st progStep) (any, error) {
		return nil, s.Set(ctx, pick(st.key, keyPool, nil), pick(st.value, storable, unstorable))
	})},
	{"SetAll", onSession(func(ctx context.Context, s session.Session, st progStep) (any, error) {
		all := make(map[string]any)
		for i := range int(st.variant) % 5 {
			all[keyPool[(int(st.key)+i)%(len(keyPool)-1)]] = storable[(int(st.value)+i)%len(storable)]
		}
		switch { // at most one reason to refuse them: which is found first is left to the order of a map
		case st.variant >= 240:
			all[keyPool[len(keyPool)-1]] = 1
		case st.variant >= 224:
			all["a"] = pick(st.value|224, unstorable, unstorable)
		case st.variant >= 220:
			for i := range 1025 {
				all[fmt.Sprint(i)] = i
			}
		}
		return nil, session.SetAll(ctx, s, all)
	})},
	{"Delete", onSession(func(ctx context.Context, s session.Session, st progStep) (any, error) {
		first, second := pick(st.key, keyPool, nil), pick(st.value, keyPool, nil)
		return nil, session.Delete(ctx, s, []string{first, second, first}[:st.variant%4]...)
	})},
	{"Clear", onSession(func(ctx context.Context, s session.Session, _ progStep) (any, error) {
		return nil, session.Clear(ctx, s)
	})},
	{"Pop", onSession(func(ctx context.Context, s session.Session, st progStep) (any, error) {
		return session.Pop(ctx, s, pick(st.key, keyPool, nil))
	})},
	{"Update", updates},
	{"All", onSession(func(ctx context.Context, s session.Session, _ progStep) (any, error) { return shownBy(ctx, s) })},
	{"Describe", onSession(func(_ context.Context, s session.Session, _ progStep) (any, error) {
		i, err := session.Describe(s)
		return described1(i), err
	})},
}

// updates returns what the function was given last.
func updates(ctx context.Context, sd *rival, st progStep) outcome {
	cancel := func() {}
	if ctx != nil {
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	key, value := pick(st.key, keyPool, nil), pick(st.value, storable, nil)
	return onSession(func(ctx context.Context, s session.Session, st progStep) (last any, err error) {
		calls := 0
		// between happens while the function runs. Nothing does where the session has
		// ended: who asks the function then, and who does not, is left open.
		between := func(f func()) {
			if calls++; calls == 1 && s.Set(ctx, key, "between") == nil {
				f()
			}
		}
		err = session.Update(ctx, s, key, func(old any) (any, error) {
			last = old
			switch st.variant % 16 {
			case 0:
				return pick(st.value|224, nil, unstorable), nil
			case 1:
				return value, errRefuses
			case 2:
				if b, ok := old.([]byte); ok && len(b) > 0 {
					b[0]++ // its own copy
				}
				return old, fmt.Errorf("%w: %w", errRefuses, session.ErrNotFound)
			case 3:
				if old == nil {
					return nil, errRefuses
				}
			case 4:
				if old != nil {
					return nil, errRefuses
				}
			case 5:
				between(func() {})
			case 6:
				between(func() { _ = sd.store.Remove(ctx, s.ID()) })
			case 7:
				between(cancel)
			case 8:
				between(func() { _, _ = session.Pop(ctx, s, key) })
			case 9:
				between(func() {})
				return nil, errRefuses
			case 10:
				return old, nil
			default:
				if n, ok := old.(int); ok {
					return n + 1, nil
				}
			}
			return value, nil
		})
		if err != nil {
			last = nil // a session that ended: it may not have been asked
		}
		return last, err
	})(ctx, sd, st)
}

// context is the one that a step is made with.
func (st progStep) context(ctx context.Context) (context.Context, string) {
	switch {
	case st.ctx >= 248:
		return nil, "nil context"
	case st.ctx >= 240:
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, "canceled"
	case st.ctx >= 232:
		ctx, cancel := context.WithDeadline(ctx, time.Unix(1, 0))
		cancel()
		return ctx, "too late"
	}
	return ctx, ""
}
