package redis_test

import (
	"context"
	"flag"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
	"github.com/mist-contrib/session/sessiontest"
)

var orders = flag.Int("orders", 1000, "how many random orders TestInterleavings explores")

// TestInterleavings explores what requests do to each other, each command to Redis
// being a step.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	server, client := single(t)
	plain := newClient(t, "redis://"+server.Addr)
	client.AddHook(steps{})
	sessiontest.Explore(t, sessiontest.Explorer{
		New: func(t *testing.T) session.Store {
			t.Helper()
			if err := plain.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			return &redis.Store{Client: client, OpTimeout: time.Minute}
		},
		Idle: 30 * time.Minute,
		Advance: func(d time.Duration) {
			if err := advance.Run(t.Context(), plain, nil, d.Milliseconds()).Err(); err != nil {
				t.Error(err)
			}
		},
		Random: *orders,
	})
}

// advance lets time pass for all keys and for the tokens of devices; the clock of the
// server goes on as before.
var advance = goredis.NewScript(`
local function earlier(digits)
  return string.format('%013.0f', tonumber(digits) - ARGV[1])
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key) - ARGV[1]
  if left > 0 then
    redis.call('PEXPIRE', key, left)
    local b = redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, 'b')
    if b then
      local o, q = redis.call('HGET', key, 'o') or '', redis.call('HGET', key, 'q') or ''
      o = string.gsub(o, string.rep('.', 62), function(g)
        return string.sub(g, 49, 49) == 'u' and string.sub(g, 1, 49) .. earlier(string.sub(g, 50)) or g
      end)
      q = string.gsub(q, string.rep('.', 21), function(c) return string.sub(c, 1, 8) .. earlier(string.sub(c, 9)) end)
      redis.call('HSET', key, 'b', earlier(string.sub(b, 1, 13)) .. string.sub(b, 14), 'o', o, 'q', q)
    end
  else
    redis.call('DEL', key)
  end
end
return 1`)

// steps makes a step of every command.
type steps struct{}

func (steps) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (steps) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		sessiontest.Step(ctx)
		return next(ctx, cmd)
	}
}

func (steps) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		sessiontest.Step(ctx)
		return next(ctx, cmds)
	}
}
