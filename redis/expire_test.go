package redis_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/redis"
)

// TestEveryRecordExpires runs programs on sessions of any age and holds what is
// left of a record's life, after every step, against its own times.
func TestEveryRecordExpires(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newComparison(t)
	capped, alive, listed := 0, 0, 0
	for seed := range uint64(10) {
		store := timed(d.client, fmt.Sprintf("%d:", seed))
		sd := &program.Subject{Store: store}
		for n, st := range program.Steps(program.Random(2000+seed, 200)) {
			if n%4 == 0 { // more logins than usual
				st.Op, st.Ctx = program.Op("Login"), st.Ctx%224
			}
			op := sd.Do(ctx, st)
			ids := slices.Concat(program.IDs, sd.IDs)
			for _, id := range ids {
				ends, byAbsolute, ok := expiry(t, d.client, keyOf(store, id))
				if !ok {
					t.Fatalf("seed %d, step %d, %s: a record ends at another time than its times say, or never", 2000+seed, n, op)
				}
				if ends {
					alive++
				}
				if byAbsolute {
					capped++
				}
			}
			for _, user := range program.Users[1:] {
				theirs, wrong := listedExactly(t, store, user, sd.IDs)
				if listed += theirs; wrong != "" {
					t.Fatalf("seed %d, step %d, %s: %s", 2000+seed, n, op, wrong)
				}
			}
			if st.Variant < 64 { // time passes
				id := ids[int(st.Value)%len(ids)]
				keys, name := []string{keyOf(store, id)}, ""
				if len(id) > 16 && id[16] == '_' {
					keys, name = append(keys, strings.TrimSuffix(keyOf(store, id[:17]), "_")+":"), id[16:]
				}
				if err := d.client.Eval(ctx, older, keys, int(st.Variant+1)*60_000, name).Err(); err != nil {
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
	if alive == 0 || capped == 0 || listed == 0 {
		t.Errorf("got %d records that live, %d of them until their absolute deadline, %d that are listed", alive, capped, listed)
	}
}

// expiry reports whether a key ends exactly when its record says. One that a login has
// taken ends in a minute.
func expiry(t *testing.T, client goredis.UniversalClient, key string) (ends, byAbsolute, ok bool) {
	t.Helper()
	var before, after *goredis.TimeCmd
	var left *goredis.DurationCmd
	var times *goredis.SliceCmd
	if _, err := client.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
		ctx := t.Context()
		before, left, times, after = p.Time(ctx), p.PTTL(ctx, key), p.HMGet(ctx, key, "c", "t", "i", "a", "l", "n"), p.Time(ctx)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if left.Val() == -2 { // there is no key
		return false, false, true
	}
	if n, _ := times.Val()[5].(string); strings.HasPrefix(n, "t") {
		return false, false, left.Val() > 0 && left.Val() <= time.Minute
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
// does not end it, and tells the index of its user.
const older = `
local r = redis.call('HMGET', KEYS[1], 'c', 't', 'i', 'a', 'l', 'n')
if r[6] and string.sub(r[6], 1, 1) == '2' and redis.call('PTTL', KEYS[1]) > ARGV[1] + 60000 then
  if r[1] then
    redis.call('HINCRBY', KEYS[1], 'c', -ARGV[1])
  end
  redis.call('HINCRBY', KEYS[1], 't', -ARGV[1])
  if r[5] then
    redis.call('HINCRBY', KEYS[1], 'l', -ARGV[1])
  end
  local ends = string.format('%.0f', math.min(r[2] + r[3], (r[5] or r[1]) + r[4]) - ARGV[1])
  redis.call('PEXPIREAT', KEYS[1], ends)
  if KEYS[2] then
    redis.call('ZADD', KEYS[2], ends, string.format('%.0f', -redis.call('ZSCORE', KEYS[2], ARGV[2])))
    redis.call('PEXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
  end
end
return 0`

// exact says what is wrong with an index: KEYS are the index and all records that
// may be in it, ARGV their names there.
const exact = `
local function digits(number)
  return string.format('%.0f', number)
end
local time = redis.call('TIME')
local index, now = KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000)
local listed, last, alive = 0, 0, 0
for i = 2, #KEYS do
  local login, lives = redis.call('ZSCORE', index, ARGV[i - 1]), redis.call('EXISTS', KEYS[i]) == 1
  if lives then
    alive = alive + 1
    if not login then
      return {alive, 'a session is not listed'}
    end
  end
  if login then
    local ends = tonumber(redis.call('ZSCORE', index, digits(-login)))
    listed, last = listed + 1, math.max(last, ends or 0)
    if lives and ends ~= redis.call('PEXPIRETIME', KEYS[i]) then
      return {alive, 'a session ends at another time than it is listed with'}
    elseif not lives and ends > now then
      return {alive, 'a session that has ended is listed'}
    end
  end
end
if redis.call('ZCARD', index) ~= 2 * listed then
  return {alive, 'something else is listed'}
end
if last > 0 and redis.call('PEXPIRETIME', index) ~= last then
  return {alive, 'the index does not end with the last session'}
end
return {alive, ''}`

// listedExactly reports what is wrong with the index of a user, and how many of the
// sessions are theirs and live.
func listedExactly(t *testing.T, st *redis.Store, user string, ids []string) (alive int, wrong string) {
	t.Helper()
	keys, names := []string{indexOf(st, user)}, []any(nil)
	for _, id := range ids {
		if strings.HasPrefix(id, homeOf(user)) {
			keys, names = append(keys, keyOf(st, id)), append(names, id[16:])
		}
	}
	reply, err := st.Client.(goredis.UniversalClient).Eval(t.Context(), exact, keys, names...).Slice()
	if err != nil {
		t.Fatal(err)
	}
	return int(reply[0].(int64)), reply[1].(string)
}
