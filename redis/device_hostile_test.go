package redis_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A captive is a session that is bound, with a token from before, two that are good, and
// two challenges.
type captive struct {
	*redis.Store
	client    goredis.UniversalClient
	id        string
	old, both string // tokens: the one from before, and one that is not the newest
	newest    string
	good      map[string]string
}

func newCaptive(t *testing.T) *captive {
	t.Helper()
	client := newClient(t, unhurried(redistest.Start(t).Addr))
	c := &captive{Store: &redis.Store{Client: client, OpTimeout: time.Minute}, client: client}
	s, err := c.Login(t.Context(), "", session.Login{User: hostageUser})
	for _, next := range []struct {
		token *string
		make  func() (session.Session, error)
	}{
		{&c.old, func() (session.Session, error) { return c.Bind(t.Context(), c.old, aProof("")) }},
		{nil, func() (session.Session, error) { return c.Prove(t.Context(), c.id, aProof("1")) }},
		{&c.both, func() (session.Session, error) { return c.Prove(t.Context(), c.id, aProof("2")) }},
		{&c.newest, func() (session.Session, error) { return c.Open(t.Context(), c.newest) }},
	} {
		if err != nil {
			t.Fatal(err)
		}
		if c.id = s.ID(); next.token != nil {
			*next.token = session.Token(s)
		}
		s, err = next.make()
	}
	if err == nil {
		c.good, err = c.client.HGetAll(t.Context(), keyOf(c.Store, c.id)).Result()
	}
	if err != nil || len(c.good["b"]) != 13+len(theDevice) || len(c.good["q"]) != 2*21 || len(c.good["o"]) != 3*62 {
		t.Fatalf("got %d fields, %v: this is not the record that the test knows", len(c.good), err)
	}
	return c
}

// plant stores fields in the place of the record.
func (c *captive) plant(t *testing.T, fields map[string]string) {
	t.Helper()
	(&hostage{Store: c.Store, client: c.client, id: c.id, key: keyOf(c.Store, c.id)}).plant(t, fields)
}

// calls are those that look at what is stored of a device.
func (c *captive) calls() map[string]func(ctx context.Context) (session.Session, error) {
	return map[string]func(ctx context.Context) (session.Session, error){
		"Get":        func(ctx context.Context) (session.Session, error) { return c.Get(ctx, c.id) },
		"Open":       func(ctx context.Context) (session.Session, error) { return c.Open(ctx, c.newest) },
		"Open older": func(ctx context.Context) (session.Session, error) { return c.Open(ctx, c.both) },
		"Open old":   func(ctx context.Context) (session.Session, error) { return c.Open(ctx, c.old) },
		"Rotate":     func(ctx context.Context) (session.Session, error) { return c.Rotate(ctx, c.newest, time.Hour) },
		"Bind":       func(ctx context.Context) (session.Session, error) { return c.Bind(ctx, c.newest, aProof("")) },
		"Prove":      func(ctx context.Context) (session.Session, error) { return c.Prove(ctx, c.id, aProof("3")) },
		"Login": func(ctx context.Context) (session.Session, error) {
			return c.Login(ctx, c.newest, session.Login{User: hostageUser})
		},
		"UserSessions": func(ctx context.Context) (session.Session, error) {
			return nil, errorOf(c.UserSessions(ctx, hostageUser))
		},
	}
}

// try makes a call on a record, and returns how it has ended.
func (c *captive) try(t *testing.T, what string, r map[string]string, call func(ctx context.Context) (session.Session, error)) ending {
	t.Helper()
	c.plant(t, r)
	s, err := call(t.Context())
	if err == nil && s != nil {
		if info, err := session.Describe(s); err != nil || info.ID != c.id {
			t.Errorf("%s: Describe: got %v", what, err)
		}
	}
	if left := c.client.PTTL(t.Context(), keyOf(c.Store, c.id)).Val(); left == -1 {
		t.Errorf("%s: the key never expires", what)
	}
	for _, answer := range []error{session.ErrBound, session.ErrUnbound, session.ErrReplayed, session.ErrFull} {
		if errors.Is(err, answer) {
			return endsExists // an answer that means no harm
		}
	}
	return endingOf(err)
}

// TestHostileBonds puts something else where a record says to what it is bound, and until
// when: nobody is let in by that, and nobody is told that there is no session.
func TestHostileBonds(t *testing.T) {
	t.Parallel()
	c := newCaptive(t)
	calls := c.calls()
	for name, call := range calls {
		if got, want := c.try(t, name, c.good, call), endsWell; got != want && name != "Bind" {
			t.Errorf("the record itself, %s: got %06b", name, got)
		}
	}
	with := func(field, value string) map[string]string {
		r := maps.Clone(c.good)
		r[field] = value
		return r
	}
	ends := strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10)
	for _, b := range []string{
		"", "1", ends, ends[:12] + theDevice, "x" + ends[1:] + theDevice, "-" + ends[1:] + theDevice, "+" + ends[1:] + theDevice, " " + ends[1:] + theDevice,
		ends[:12] + " " + theDevice, ends[:12] + "\x00" + theDevice, ends[:12] + "e" + theDevice, "0x" + ends[2:] + theDevice, "1.5" + ends[3:] + theDevice,
		"         nan" + theDevice, theDevice + ends, strings.Repeat("\x00", 30), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		ends + strings.Repeat("d", 1025), ends + strings.Repeat("d", 1<<20),
	} {
		for name, call := range calls {
			got := c.try(t, name, with("b", b), call)
			may := endsUnreadable
			if len(b) > 13+1024 { // what no script looks at
				switch name {
				case "Login": // it is the device's no more
					may = endsWell
				case "Bind", "Prove":
					may |= endsExists
				}
			}
			if got&may == 0 {
				t.Errorf("b %.40q, %s: got %06b, want one of %06b", b, name, got, may)
			}
		}
	}
	for _, q := range []string{
		"q", c.good["q"][:41], c.good["q"] + "1", strings.Repeat(c.good["q"], 33), strings.Repeat("x", 21), "12345678" + " " + ends[1:], "12345678" + "-" + ends[1:],
		"12345678" + "\x00" + ends[1:], strings.Repeat("1", 1<<20),
	} {
		for name, call := range calls {
			long := len(q) > 64*21
			want := endsWell
			switch {
			case name == "Bind", name == "Prove" && long && len(q)%21 == 0:
				want = endsExists
			case name == "Login", name == "UserSessions": // do not look at it
			case len(q)%21 != 0 || long || name == "Prove":
				want = endsUnreadable
			}
			if got := c.try(t, name, with("q", q), call); got != want {
				t.Errorf("q %.40q, %s: got %06b, want %06b", q, name, got, want)
			}
		}
	}
	// each changes all old secrets: of each, 32 bytes are a hash, 16 a salt and 14 the state.
	each := func(change func(hash, salt, state string) string) map[string]string {
		o := ""
		for old := c.good["o"]; old != ""; old = old[62:] {
			o += change(old[:32], old[32:48], old[48:62])
		}
		return with("o", o)
	}
	// A token ends when its own place in the record says so, and leads nowhere, whatever its salt.
	zero := strconv.FormatInt(time.Now().UnixMilli(), 10)
	for name, r := range map[string]map[string]string{
		"the newest has ended":         with("b", zero+theDevice),
		"all old ones have ended":      each(func(hash, salt, state string) string { return hash + salt + strings.Replace(state, "u17", "u07", 1) }),
		"the newest is another":        with("h", strings.Repeat("h", 32)),
		"no device, and old ones lead": func() map[string]string { r := maps.Clone(c.good); delete(r, "b"); return r }(),
		"salts":                        each(func(hash, _, state string) string { return hash + strings.Repeat("s", 16) + state }),
		"the salt of the oldest":       with("o", c.good["o"][:2*62+32]+strings.Repeat("s", 16)+c.good["o"][2*62+48:]),
		"a time as Lua has them":       with("o", c.good["o"][:49]+"9000000000e3 "+c.good["o"][62:]),
		"the times of old ones":        each(func(hash, salt, state string) string { return hash + salt + strings.Replace(state, "u1", "ux", 1) }),
	} {
		for what, clientToken := range map[string]string{"newest": c.newest, "older": c.both, "oldest": c.old} {
			if what == "oldest" && name != "the salt of the oldest" {
				continue
			}
			got := c.try(t, name, r, func(ctx context.Context) (session.Session, error) { return c.Open(ctx, clientToken) })
			may := endsNotFound
			switch {
			case name == "the newest has ended" && what == "older", name == "all old ones have ended" && what == "newest",
				name == "the newest is another" && what == "older",
				name == "a time as Lua has them" && what == "newest", name == "the salt of the oldest", name == "salts":
				may = endsWell
			case name == "no device, and old ones lead":
				may = endsUnreadable // or the newest, which has no end then
				if what == "newest" {
					may = endsWell
				}
			case name == "a time as Lua has them" && what == "older":
				may = endsUnreadable
			case name == "the times of old ones":
				may = endsAnswer | endsUnreadable | endsNotFound
			}
			if got&may == 0 {
				t.Errorf("%s, %s: got %06b, want one of %06b", name, what, got, may)
			}
		}
	}
}

// TestMutatedBonds plants records that are almost right, the same ones always: no call ends
// in another way than it may, and none opens a token that has ended.
func TestMutatedBonds(t *testing.T) {
	t.Parallel()
	c := newCaptive(t)
	calls := c.calls()
	names := slices.Sorted(maps.Keys(calls))
	random := rand.New(rand.NewPCG(13, 0))
	fields := map[string]string{"b": c.good["b"], "q": c.good["q"], "o": c.good["o"], "h": c.good["h"]}
	n := 0
	for start := time.Now(); time.Since(start) < 1500*time.Millisecond && !t.Failed(); n++ {
		mutations := make([]byte, (1+random.IntN(3))*mutationSize)
		for i := range mutations {
			mutations[i] = byte(random.Uint32())
		}
		r := maps.Clone(c.good)
		for name := range fields {
			delete(r, name)
		}
		maps.Copy(r, mutated(fields, mutations))
		name := names[n%len(names)]
		got := c.try(t, name, r, calls[name])
		if got == 0 {
			t.Errorf("%s of %q has another end", name, mutations)
		}
		b := r["b"]
		ends, err := strconv.ParseUint(b[:min(13, len(b))], 10, 64)
		bad := b != "" && (err != nil || len(b) < 14 || ends <= uint64(time.Now().UnixMilli()))
		if name == "Open" && got == endsWell && bad {
			t.Errorf("opened with b %q", b)
		}
	}
	t.Logf("%d records", n)
}
