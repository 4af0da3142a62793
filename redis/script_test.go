package redis_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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

// TestForgottenScripts runs programs on a server that forgets all scripts
// between any two steps: what they answer must not differ.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	d.before = func() { d.client.ScriptFlush(t.Context()) }
	for seed := range uint64(5) {
		d.play(t, fmt.Sprintf("seed %d", 1000+seed), randomProgram(1000+seed, 150))
	}
}

// TestScriptGlobals reads what the scripts compile to: a name that is not
// declared fails on the server, but only in the branch that uses it.
func TestScriptGlobals(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	files, err := filepath.Glob("scripts/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d scripts, %v", len(files), err)
	}
	compile := func(source string) (read, written []string) {
		code, ok := server.MustDo(t, "EVAL", "return string.dump(assert(loadstring(ARGV[1])))", 0, source).(string)
		if !ok || !strings.HasPrefix(code, "\x1bLuaQ\x00\x01\x04\x08\x04\x08\x00") {
			t.Fatal("no code of Lua 5.1 for 64 bits, little-endian")
		}
		c := chunk{code: code[12:]}
		c.function()
		return c.read, c.written
	}
	if read, written := compile("local a = b; return function() c = d end"); !slices.Equal(read, []string{"b", "d"}) || !slices.Equal(written, []string{"c"}) {
		t.Fatalf("the test is wrong: found %q read, %q written", read, written)
	}
	known := []string{"redis", "KEYS", "ARGV", "tonumber", "ipairs", "unpack", "math", "string", "table"}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		read, written := compile(string(source))
		for _, name := range read {
			if !slices.Contains(known, name) {
				t.Errorf("%s reads the global %s", file, name)
			}
		}
		if len(written) > 0 {
			t.Errorf("%s writes the globals %q", file, written)
		}
		if !slices.Contains(read, "KEYS") {
			t.Errorf("%s does not read KEYS", file)
		}
	}
}

// A chunk is code of Lua 5.1 that is being read, and the globals that it names.
type chunk struct {
	code          string
	read, written []string
}

func (c *chunk) bytes(n int) string {
	b := c.code[:n]
	c.code = c.code[n:]
	return b
}

func (c *chunk) int() int { return int(binary.LittleEndian.Uint32([]byte(c.bytes(4)))) }

func (c *chunk) string() string {
	n := int(binary.LittleEndian.Uint64([]byte(c.bytes(8))))
	return strings.TrimSuffix(c.bytes(n), "\x00")
}

func (c *chunk) function() {
	c.string() // the source
	c.bytes(4 + 4 + 4)
	code := c.bytes(4 * c.int())
	constants := make([]string, c.int())
	for i := range constants {
		switch c.bytes(1) {
		case "\x01": // a boolean
			c.bytes(1)
		case "\x03": // a number
			c.bytes(8)
		case "\x04":
			constants[i] = c.string()
		}
	}
	for at := 0; at < len(code); at += 4 {
		switch word := binary.LittleEndian.Uint32([]byte(code[at:])); word & 63 {
		case 5: // GETGLOBAL
			c.read = append(c.read, constants[word>>14])
		case 7: // SETGLOBAL
			c.written = append(c.written, constants[word>>14])
		}
	}
	for range c.int() {
		c.function()
	}
	c.bytes(4 * c.int()) // lines
	for range c.int() {
		c.string() // a local
		c.bytes(4 + 4)
	}
	for range c.int() {
		c.string() // an upvalue
	}
}

// TestEveryRecordExpires runs programs on sessions of any age and holds what is
// left of a record's life, after every step, against its own times.
func TestEveryRecordExpires(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDuel(t)
	const idle, absolute = time.Hour, 90 * time.Minute
	capped, alive := 0, 0
	for seed := range uint64(10) {
		prefix := fmt.Sprintf("%d:", seed)
		sd := &rival{store: &redis.Store{Client: d.client, Prefix: prefix, OpTimeout: time.Minute, IdleTimeout: idle, AbsoluteTimeout: absolute}}
		for n, st := range stepsOf(randomProgram(2000+seed, 150)) {
			op := operations[int(st.op)%len(operations)]
			stepCtx, _ := st.context(ctx)
			op.do(stepCtx, sd, st)
			for _, id := range goodIDs {
				ends, byAbsolute, ok := expiry(t, d.client, prefix+id)
				if !ok {
					t.Fatalf("seed %d, step %d, %s: a record ends at another time than its times say, or never", 2000+seed, n, op.name)
				}
				if ends {
					alive++
				}
				if byAbsolute {
					capped++
				}
			}
			if st.variant < 64 { // time passes
				if err := d.client.Eval(ctx, older, []string{prefix + goodIDs[int(st.value)%len(goodIDs)]}, int(st.variant+1)*60_000).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for key := range storedWords(t, d.client) {
			if d.client.PTTL(ctx, key).Val() == -1 {
				t.Errorf("seed %d: %q never expires", 2000+seed, key)
			}
		}
	}
	if alive == 0 || capped == 0 {
		t.Errorf("got %d records that live, %d of them until their absolute deadline", alive, capped)
	}
}

// expiry reports whether a key ends exactly when its record says.
func expiry(t *testing.T, client goredis.UniversalClient, key string) (ends, byAbsolute, ok bool) {
	t.Helper()
	var before, after *goredis.TimeCmd
	var left *goredis.DurationCmd
	var times *goredis.SliceCmd
	if _, err := client.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
		ctx := t.Context()
		before, left, times, after = p.Time(ctx), p.PTTL(ctx, key), p.HMGet(ctx, key, "c", "t", "i", "a", "l"), p.Time(ctx)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if left.Val() == -2 { // there is no key
		return false, false, true
	}
	var ms [4]int64
	if times.Val()[4] != nil { // the absolute timeout begins with a login
		times.Val()[0] = times.Val()[4]
	}
	for i, word := range times.Val()[:4] {
		text, _ := word.(string)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return false, false, false
		}
		ms[i] = n
	}
	byIdle, absolute := time.UnixMilli(ms[1]+ms[2]), time.UnixMilli(ms[0]+ms[3])
	deadline := byIdle
	if absolute.Before(byIdle) {
		deadline = absolute
	}
	early, late := before.Val().Add(left.Val()-time.Second), after.Val().Add(left.Val()+time.Second) // of a server that was held up
	return true, absolute.Before(byIdle), left.Val() >= 0 && !deadline.Before(early) && !deadline.After(late)
}

// older makes a record older, as if so many milliseconds had passed, if that
// does not end it.
const older = `
local r = redis.call('HMGET', KEYS[1], 'c', 't', 'i', 'a', 'l')
if r[1] and redis.call('PTTL', KEYS[1]) > ARGV[1] + 60000 then
  redis.call('HINCRBY', KEYS[1], 'c', -ARGV[1])
  redis.call('HINCRBY', KEYS[1], 't', -ARGV[1])
  if r[5] then
    redis.call('HINCRBY', KEYS[1], 'l', -ARGV[1])
    r[1] = r[5]
  end
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.min(r[2] + r[3], r[1] + r[4]) - ARGV[1]))
end
return 0`

// TestNothingSecretIsStored looks at all that a server holds, and at all that it
// was ever sent, after much has happened.
func TestNothingSecretIsStored(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w, client := wired(t, server)
	ctx := t.Context()
	stores, secrets := make(map[string]session.TokenStore), make(map[string]bool)
	for seed := range uint64(10) {
		prefix := fmt.Sprintf("%d:", seed)
		sd := &rival{store: &redis.Store{Client: client, Prefix: prefix, OpTimeout: time.Minute}}
		for _, st := range stepsOf(randomProgram(3000+seed, 200)) {
			stepCtx, _ := st.context(ctx)
			operations[int(st.op)%len(operations)].do(stepCtx, sd, st)
		}
		for _, carried := range sd.tokens {
			id, secret, _ := strings.Cut(carried, ".")
			stores[prefix+id], secrets[secret] = sd.store, true
		}
	}
	var sent []string
	for _, words := range w.take(t) {
		sent = append(sent, words...)
	}
	stored := storedWords(t, client)
	if len(secrets) < 50 || len(stored) < 10 {
		t.Fatalf("got %d secrets and %d records, which proves little", len(secrets), len(stored))
	}
	for secret := range secrets {
		if slices.ContainsFunc(sent, func(word string) bool { return strings.Contains(word, secret) }) {
			t.Error("a secret was sent to the server")
		}
	}
	users := 0
	for key, words := range stored {
		prefix, id, _ := strings.Cut(key, ":")
		prefix, ids := prefix+":", []string{id}
		if strings.HasPrefix(id, "user:") { // no session's, because of its second colon
			users++
			ids = goodIDs
		} else if stores[prefix+id] == nil {
			t.Errorf("there is a key %q, which is no prefix and id", key)
			continue
		}
		for _, word := range words {
			for secret := range secrets {
				if strings.Contains(word, secret) {
					t.Error("a secret is stored")
				}
			}
			for _, id := range ids {
				store := stores[prefix+id]
				if store == nil {
					continue
				}
				for _, guess := range guesses(word) {
					for _, carried := range []string{guess, id + "." + guess} {
						if _, err := store.Open(ctx, carried); !errors.Is(err, session.ErrNotFound) {
							t.Errorf("Open of what is stored: got %v, want ErrNotFound", err)
						}
					}
				}
			}
		}
	}
	if users == 0 {
		t.Error("no user has an index: the test proves little")
	}
}

// TestKeyName finds the key of a session where the documentation says.
func TestKeyName(t *testing.T) {
	t.Parallel()
	client := newClient(t, unhurried(redistest.Start(t).Addr))
	for prefix, want := range map[string]string{"": "session:id", "s": "sid", "a:": "a:id", "*?[{x}\x00 é:": "*?[{x}\x00 é:id"} {
		store := &redis.Store{Client: client, Prefix: prefix, OpTimeout: time.Minute}
		s, err := store.Generate(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Set(t.Context(), "key", 1), errorOf(store.Rotate(t.Context(), session.Token(s), 0))); err != nil {
			t.Error(err)
		}
		if all := storedWords(t, client); len(all) != 1 || all[want] == nil {
			t.Errorf("prefix %q: got the keys %q, want %q", prefix, slices.Collect(maps.Keys(all)), want)
		}
		if err := store.Remove(t.Context(), "id"); err != nil || len(storedWords(t, client)) != 0 {
			t.Errorf("prefix %q: after Remove there are keys, %v", prefix, err)
		}
	}
}

// storedWords is every key of a server, its name, fields and values.
func storedWords(t *testing.T, client goredis.UniversalClient) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	keys := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(t.Context()) {
		if ids, err := client.ZRange(t.Context(), keys.Val(), 0, -1).Result(); err == nil { // an index of a slot
			all[keys.Val()] = append(ids, keys.Val())
			continue
		}
		fields, err := client.HGetAll(t.Context(), keys.Val()).Result()
		if err != nil {
			t.Fatal(err) // another type: none of ours is
		}
		all[keys.Val()] = slices.Concat([]string{keys.Val()}, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Values(fields)))
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// guesses are the secrets that somebody would try who found a word in the store.
func guesses(word string) []string {
	secrets := []string{word}
	for at := 0; at < len(word); at += 16 { // hashes and salts
		for _, part := range []string{word[at:], word[at:min(at+16, len(word))], word[at:min(at+32, len(word))]} {
			secrets = append(secrets, part, hex.EncodeToString([]byte(part)), base64.RawURLEncoding.EncodeToString([]byte(part)))
			letters := base32.StdEncoding.EncodeToString([]byte(part))
			for _, n := range []int{26, 52, len(letters)} {
				secrets = append(secrets, strings.TrimRight(letters[:min(n, len(letters))], "="))
			}
		}
	}
	return secrets
}
