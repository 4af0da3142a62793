-- Starts the idle timeout of a session anew, and never past its absolute one,
-- which began with the last login, or when the session was made.
--
-- KEYS[1]  the record
--
-- Returns 1; 0 where there is no record; -1 where it is none of ours.

local key = KEYS[1]
local r = redis.call('HMGET', key, 'n', 'c', 'i', 'a', 't', 'l')
if not (r[1] and string.find(r[1], '^1.')) then
  return -redis.call('EXISTS', key)
end
r[6] = r[6] or r[2]
for i = 2, 6 do
  if not (r[i] and #r[i] < 16 and string.find(r[i], '^%d+$')) then
    return -1
  end
end
local idle, absolute, seen, began = tonumber(r[3]), tonumber(r[4]), tonumber(r[5]), tonumber(r[6])

-- Not before the last refresh: a server whose clock went back takes nothing.
local clock = redis.call('TIME')
local now = math.max(seen, clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('HDEL', key, '') -- a first write that needs no memory: from here on Redis refuses none for lack of it
redis.call('HSET', key, 't', string.format('%.0f', now))
redis.call('PEXPIREAT', key, string.format('%.0f', math.min(now + idle, began + absolute)))
return 1
