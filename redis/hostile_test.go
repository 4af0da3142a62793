package redis_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/values"
	"github.com/mist-contrib/session/redis"
)

// An ending is a set of ways in which a call may end.
type ending int

const (
	endsWell ending = 1 << iota
	endsNotFound
	endsExists
	endsValue
	endsAnswer     // Redis answered with an error
	endsUnreadable // the store did, with none to branch on
)

func endingOf(err error) ending {
	var answered goredis.Error
	var network net.Error
	switch {
	case err == nil:
		return endsWell
	case errors.Is(err, session.ErrNotFound):
		return endsNotFound
	case errors.Is(err, session.ErrExists):
		return endsExists
	case errors.Is(err, session.ErrValue):
		return endsValue
	case errors.As(err, &answered):
		return endsAnswer
	case errors.As(err, &network), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, session.ErrTooLarge), errors.Is(err, session.ErrFull), errors.Is(err, session.ErrInvalidID):
		return 0
	}
	return endsUnreadable
}

// A hostage is a session with two old tokens, one that is over, and what is stored of
// it; others then put something else in its place.
type hostage struct {
	*redis.Store
	client       goredis.UniversalClient
	id, key      string
	tokens       [3]string // the last is the newest, and was not seen
	good         map[string]string
	loaded, made session.Session // made by the last call
}

const hostageUser = "hostage's user"

// newHostages returns a session of a user and one of nobody.
func newHostages(tb testing.TB, client goredis.UniversalClient) []*hostage {
	tb.Helper()
	ctx, st := tb.Context(), &redis.Store{Client: client, OpTimeout: time.Minute}
	s, err := st.Login(ctx, "", session.Login{User: hostageUser, Level: 2, Persistent: true, Address: "192.0.2.0/24", UserAgent: strings.Repeat("agent ", 20)})
	if err != nil {
		tb.Fatal(err)
	}
	other := &redis.Store{Client: client, OpTimeout: time.Minute, Prefix: "nobodys:"}
	anonymous, err := other.Generate(ctx, "victim")
	if err != nil {
		tb.Fatal(err)
	}
	return []*hostage{newHostage(tb, st, s, 18), newHostage(tb, other, anonymous, 12)}
}

func newHostage(tb testing.TB, st *redis.Store, s session.Session, fields int) *hostage {
	tb.Helper()
	ctx := tb.Context()
	v := &hostage{Store: st, client: st.Client.(goredis.UniversalClient), id: s.ID(), key: keyOf(st, s.ID())}
	s, err := v.Rotate(ctx, session.Token(s), 0)
	if err == nil {
		s, err = v.Open(ctx, session.Token(s))
	}
	for i := range v.tokens {
		if err != nil {
			tb.Fatal(err)
		}
		v.tokens[i] = session.Token(s)
		if i < 2 {
			s, err = v.Rotate(ctx, v.tokens[i], time.Hour)
		}
	}
	if err := session.SetAll(ctx, s, map[string]any{"a": 1, "b": "x"}); err != nil {
		tb.Fatal(err)
	}
	if v.loaded, err = v.Get(ctx, v.id); err != nil {
		tb.Fatal(err)
	}
	if v.good, err = v.client.HGetAll(ctx, v.key).Result(); err != nil || len(v.good) != fields || len(v.good["o"]) != 2*62 || len(v.good["x"]) != 8 {
		tb.Fatalf("got %d fields, %v: this is not the record that the test knows", len(v.good), err)
	}
	return v
}

// anonymous reports whether nobody was logged in.
func (v *hostage) anonymous() bool { return v.id == "victim" }

// plant stores fields in the place of the record.
func (v *hostage) plant(tb testing.TB, fields map[string]string) {
	tb.Helper()
	ctx := tb.Context()
	if _, err := v.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.Del(ctx, v.key)
		p.HSet(ctx, v.key, fields)
		p.PExpire(ctx, v.key, time.Hour)
		if !v.anonymous() { // what no index lists has ended
			index := indexOf(v.Store, hostageUser)
			p.Del(ctx, index)
			p.ZAdd(ctx, index, goredis.Z{Score: -1e15, Member: v.id[16:]}, goredis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: "1000000000000000"})
			p.PExpire(ctx, index, time.Hour)
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
}

// attempts are all calls that meet a record, and what may come of it.
var attempts = []struct {
	name string
	call func(ctx context.Context, v *hostage) error
	may  func(v *hostage, r planted) ending
}{
	{"Generate", func(ctx context.Context, v *hostage) error { return v.keep(v.Generate(ctx, v.id)) }, func(_ *hostage, r planted) ending {
		if r.free() {
			return endsWell
		}
		return endsExists
	}},
	{"Get", func(ctx context.Context, v *hostage) error { return errorOf(v.Get(ctx, v.id)) }, func(_ *hostage, r planted) ending { return r.readable() }},
	{"Open newest", func(ctx context.Context, v *hostage) error { return v.keep(v.Open(ctx, v.tokens[2])) }, func(v *hostage, r planted) ending { return r.opens(v.tokens[2]) }},
	{"Open older", func(ctx context.Context, v *hostage) error { return v.keep(v.Open(ctx, v.tokens[1])) }, func(v *hostage, r planted) ending { return r.opens(v.tokens[1]) }},
	{"Open oldest", func(ctx context.Context, v *hostage) error { return v.keep(v.Open(ctx, v.tokens[0])) }, func(v *hostage, r planted) ending { return r.opens(v.tokens[0]) }},
	{"Rotate newest", func(ctx context.Context, v *hostage) error { return v.keep(v.Rotate(ctx, v.tokens[2], time.Hour)) }, func(v *hostage, r planted) ending { return r.rotates(v.tokens[2]) }},
	{"Rotate oldest", func(ctx context.Context, v *hostage) error { return v.keep(v.Rotate(ctx, v.tokens[0], 0)) }, func(v *hostage, r planted) ending { return r.rotates(v.tokens[0]) }},
	{"Refresh", func(ctx context.Context, v *hostage) error { return v.Refresh(ctx, v.id) }, func(_ *hostage, r planted) ending { return r.refreshes() }},
	{"Set", func(ctx context.Context, v *hostage) error { return v.loaded.Set(ctx, "a", 2) }, mayWrite},
	{"SetAll", func(ctx context.Context, v *hostage) error {
		return session.SetAll(ctx, v.loaded, map[string]any{"a": 2, "c": 3})
	}, mayWrite},
	{"Delete", func(ctx context.Context, v *hostage) error { return session.Delete(ctx, v.loaded, "a", "b") }, mayWrite},
	{"Clear", func(ctx context.Context, v *hostage) error { return session.Clear(ctx, v.loaded) }, mayWrite},
	{"Pop", func(ctx context.Context, v *hostage) error { return errorOf(session.Pop(ctx, v.loaded, "a")) }, mayExchange},
	{"Update", func(ctx context.Context, v *hostage) error {
		return session.Update(ctx, v.loaded, "a", func(any) (any, error) { return 2, nil })
	}, mayExchange},
	{"Login newest", func(ctx context.Context, v *hostage) error {
		return v.keep(v.Login(ctx, v.tokens[2], session.Login{User: hostageUser, UserAgent: "another"}))
	}, func(v *hostage, r planted) ending { return v.logsIn(r, hostageUser, v.tokens[2]) }},
	{"Login oldest", func(ctx context.Context, v *hostage) error {
		return v.keep(v.Login(ctx, v.tokens[0], session.Login{User: hostageUser}))
	}, func(v *hostage, r planted) ending { return v.logsIn(r, hostageUser, v.tokens[0]) }},
	{"Login again", func(ctx context.Context, v *hostage) error {
		return v.keep(v.Login(ctx, v.tokens[2], session.Login{User: hostageUser, Reauthentication: true}))
	}, func(v *hostage, r planted) ending {
		if v.anonymous() {
			return endsNotFound
		}
		return v.logsIn(r, hostageUser, v.tokens[2])
	}},
	{"Login of another", func(ctx context.Context, v *hostage) error {
		return v.keep(v.Login(ctx, v.tokens[2], session.Login{User: "another"}))
	}, func(v *hostage, r planted) ending { return v.logsIn(r, "another", v.tokens[2]) }},
	{"UserSessions", func(ctx context.Context, v *hostage) error {
		return errorOf(v.UserSessions(ctx, hostageUser))
	}, func(_ *hostage, r planted) ending {
		if r.readable() == endsWell {
			return endsWell
		}
		return endsWell | endsUnreadable
	}},
}

// keep looks at what a call made, also where it fails.
func (v *hostage) keep(s session.Session, err error) error {
	if err == nil {
		v.made = s
		_, _ = session.Describe(s)
	}
	return err
}

func mayWrite(v *hostage, r planted) ending {
	if r["n"] != v.good["n"] {
		return endsNotFound
	}
	return endsWell
}

func mayExchange(v *hostage, r planted) ending {
	if stored, ok := r[":a"]; ok && r["n"] == v.good["n"] && errorOf(values.Decode(stored)) != nil {
		return endsValue
	}
	return mayWrite(v, r)
}

// try makes a call on what is planted.
func (v *hostage) try(t *testing.T, what string, r planted, n int) {
	t.Helper()
	v.plant(t, r)
	v.made = nil
	ctx, at := t.Context(), attempts[n]
	err := at.call(ctx, v)
	if err != nil && strings.Contains(err.Error(), hostageUser) {
		t.Errorf("%s, %s: the error names the user", what, at.name)
	}
	if got, may := endingOf(err), at.may(v, r); got&may == 0 {
		t.Errorf("%s, %s: got %06b (%v), want one of %06b", what, at.name, got, err, may)
	}
	var left *goredis.DurationCmd
	var after *goredis.MapStringStringCmd
	if _, err := v.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		left, after = p.PTTL(ctx, v.key), p.HGetAll(ctx, v.key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if left.Val() == -1 {
		t.Errorf("%s, %s: the key never expires", what, at.name)
	}
	if !strings.HasPrefix(r["n"], "2") && (!r.free() || at.name != "Generate") && !maps.Equal(after.Val(), r) {
		t.Errorf("%s, %s: what somebody else stored has changed", what, at.name)
	}
	if v.made == nil {
		if now := planted(after.Val()); v.anonymous() && strings.HasPrefix(at.name, "Login") && !now.taken() && len(now) > 0 { // or its time is over
			if delete(now, "g"); !maps.Equal(now, r) {
				t.Errorf("%s, %s: what was given back is something else", what, at.name)
			}
		}
		return
	}
	key := keyOf(v.Store, v.made.ID())
	newest, err := v.client.HGet(ctx, key, "h").Result()
	// A login whose timeouts are zero has ended.
	if err == nil || !strings.HasPrefix(at.name, "Login") {
		_, secret, _ := strings.Cut(session.Token(v.made), ".")
		if sum := sha256.Sum256([]byte(secret)); newest != string(sum[:]) {
			t.Errorf("%s, %s: the token that it gave is not the newest, %v", what, at.name, err)
		}
	}
	if key != v.key {
		if err := v.Remove(ctx, v.made.ID()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHostileRecords puts, for every call, what is no record in the place of one.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		t.Run(binary.Name, func(t *testing.T) {
			t.Parallel()
			for _, v := range newHostages(t, newClient(t, unhurried(binary.Start(t).Addr))) {
				t.Run(fmt.Sprintf("anonymous %t", v.anonymous()), func(t *testing.T) {
					t.Parallel()
					for name, r := range hostileRecords(v.good) {
						for n := range attempts {
							v.try(t, name, r, n)
						}
						v.plant(t, r)
						if err := v.Remove(t.Context(), v.id); err != nil || v.client.Exists(t.Context(), v.key).Val() != 0 {
							t.Errorf("%s: Remove: got %v", name, err)
						}
					}
				})
			}
		})
	}
}

// hostileRecords are named after what is wrong with them.
func hostileRecords(good map[string]string) map[string]planted {
	all := map[string]planted{
		"the record itself":            good,
		"one field of somebody else's": {"field": "value"},
		"a value alone":                {":a": good[":a"]},
		"all fields empty":             {"n": "", "h": "", "o": "", "c": "", "t": "", "i": "", "a": ""},
		"fields of a later version":    {"n": "3later", "h": good["h"], "o": good["o"], "c": good["c"], "t": good["t"], "i": good["i"], "a": good["a"]},
	}
	with := func(name, field, value string) {
		r := maps.Clone(good)
		r[field] = value
		all[field+" "+name] = r
	}
	for field := range good {
		r := maps.Clone(good)
		delete(r, field)
		all[field+" missing"] = r
	}
	large := strings.Repeat("1", 1<<16)
	for _, field := range []string{"c", "t", "i", "a"} {
		for _, number := range []string{
			"", "x", "-1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", strings.Repeat("9", 400), "1e3", "1e308", "nan", "-nan", "inf", "-inf",
			"0x10", " 1", "1 ", "1.5", "+1", "007", "0", "1", "1\x002", "\x00", "99999999999999", "1_000", "١",
		} {
			with(strconv.Quote(number), field, number)
		}
	}
	with("of 64 KiB", "c", large)
	for name, n := range map[string]string{
		"empty": "", "a version alone": "2", "an older version": "1" + good["n"][1:], "another version": "3" + good["n"][1:], "no version": "\x00" + good["n"],
		"of another session": "2AAAAAAAAAAA", "taken": "tAAAAAAAAAAA" + good["n"], "taken, no more": "t",
		"and NUL": good["n"] + "\x00", "of 64 KiB": large,
	} {
		with(name, "n", n)
	}
	for name, h := range map[string]string{
		"empty": "", "truncated": good["h"][:31], "over-long": good["h"] + "\x00", "over-long before": "\x00" + good["h"], "of another secret": strings.Repeat("h", 32),
		"NUL": strings.Repeat("\x00", 32), "of 64 KiB": large,
	} {
		with(name, "h", h)
	}
	for _, field := range []string{"r", "l", "v"} {
		for _, number := range []string{"", "x", "-1", "256", "0", "9223372036854775808", strings.Repeat("9", 400), "1e3", "nan", "inf", " 1", "1 ", "1\x002", "\x00", "99999999999999"} {
			with(strconv.Quote(number), field, number)
		}
		with("of 64 KiB", field, large)
	}
	for name, u := range map[string]string{"empty": "", "another": "another", "too long": strings.Repeat("u", 257), "of 64 KiB": large, "and NUL": good["u"] + "\x00"} {
		with(name, "u", u)
	}
	for _, p := range []string{"", "0", "11", "\x01", large} {
		with(fmt.Sprintf("%.9q", p), "p", p)
	}
	for name, d := range map[string]string{"empty": "", "a length alone": "\x01", "too long an address": "\x41" + strings.Repeat("a", 63), "over the end": "\xff", "of 64 KiB": large, "NUL": "\x00"} {
		with(name, "d0", d)
		with(name, "d1", d)
	}
	for name, x := range map[string]string{"empty": "", "a part": good["x"][:7], "over-long": good["x"] + "x", "seven": strings.Repeat("x", 56), "eight": strings.Repeat("x", 64), "of 64 KiB": large} {
		with(name, "x", x)
	}
	o := good["o"]
	for name, o := range map[string]string{
		"empty": "", "truncated": o[:123], "over-long": o + "g", "a part": o[:62], "the other part": o[62:], "in another order": o[62:] + o[:62], "twice": o + o,
		"65 times": strings.Repeat(o[:62], 65), "of 64 KiB": large, "nothing in it": strings.Repeat("\x00", 124), "another salt": o[:32] + strings.Repeat("s", 16) + o[48:],
	} {
		with(name, "o", o)
	}
	for _, state := range []string{
		"x", "\x00", "G", "gx", "ux", "u", "g-000000000001", "u-000000000001", "g9999999999999", "u9999999999999", "g          nan", "u          nan",
		"g          inf", "u         -inf", "g00000001e308", "u0000000000\x001", "u             ", "g0x0000000010",
	} {
		for _, at := range []int{48, 110} {
			with(fmt.Sprintf("state %q at %d", state, at), "o", o[:at]+state+o[at+len(state):])
		}
	}
	return all
}

// TestHostileTypes puts a key that is no hash in the place of a record.
func TestHostileTypes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := newClient(t, unhurried(server.Addr))
	for _, put := range [][]any{
		{"SET", "value"},
		{"SET", ""},
		{"RPUSH", "n", "2x"},
		{"SADD", "n"},
		{"ZADD", 1, "n"},
		{"XADD", "*", "n", "2x"},
	} {
		server.MustDo(t, "FLUSHALL")
		v := newHostages(t, client)[0]
		for _, at := range attempts {
			server.MustDo(t, "DEL", v.key)
			server.MustDo(t, slices.Insert(slices.Clone(put), 1, any(v.key))...)
			before := server.MustDo(t, "DUMP", v.key)
			if err := at.call(t.Context(), v); endingOf(err) != endsAnswer {
				t.Errorf("%s, %s: got %v, want what Redis answered", put[0], at.name, err)
			}
			if server.MustDo(t, "DUMP", v.key) != before {
				t.Errorf("%s, %s: what somebody else stored has changed", put[0], at.name)
			}
		}
		if err := v.Remove(t.Context(), v.id); err != nil || server.MustDo(t, "EXISTS", v.key) != int64(0) {
			t.Errorf("%s: Remove: got %v", put[0], err)
		}
	}
}
