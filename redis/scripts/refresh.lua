-- Starts the idle timeout of a session anew, and never past its absolute one.
--
-- KEYS[1]  the record
--
-- Returns 1; 0 where there is no record; -1 where it is none of ours.

local key = KEYS[1]
local r = redis.call('HMGET', key, 'n', 'c', 'i', 'a', 't')
local created, idle, absolute, seen = tonumber(r[2] or ''), tonumber(r[3] or ''), tonumber(r[4] or ''), tonumber(r[5] or '')
if not (r[1] and created and idle and absolute and seen) then
  return -redis.call('EXISTS', key)
end
if string.sub(r[1], 1, 1) ~= '1' then
  return -1
end

-- Not before the last refresh: a server whose clock went back takes nothing.
local clock = redis.call('TIME')
local now = math.max(seen, clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('HSET', key, 't', string.format('%.0f', now))
redis.call('PEXPIREAT', key, string.format('%.0f', math.min(now + idle, created + absolute)))
return 1
