-- Starts the idle timeout of a session anew, and never past its absolute one,
-- which began with the last login, or when the session was made.
--
-- KEYS[1]  the record
-- KEYS[2]  the index of its user, if its id has a home
-- ARGV[1]  the name of the session there
--
-- Returns 1; 0 where there is no record, or the index does not list it, and then it is
-- ended: somebody has taken the index away, or the clock was ahead for a while. -1 where
-- it is none of ours.

local key, index = KEYS[1], KEYS[2]
local r = redis.call('HMGET', key, 'n', 'c', 'i', 'a', 't', 'l', 'u')
if not (r[1] and string.find(r[1], '^2.')) then
  return missing(key, r[1])
end
r[2], r[6] = r[2] or r[6], r[6] or r[2]
for i = 2, 6 do
  if not isNumber(r[i]) then
    return -1
  end
end
local idle, absolute, seen, began = tonumber(r[3]), tonumber(r[4]), tonumber(r[5]), tonumber(r[6])

-- Not before the last refresh: a server whose clock went back takes nothing.
local now = math.max(seen, ms(clock()))
local login = index and redis.call('ZSCORE', index, ARGV[1])
if index and r[7] and not login then
  redis.call('UNLINK', key) -- nobody counts it, and a revocation may have missed it
  return 0
end
local ends = digits(math.min(now + idle, began + absolute))
redis.call('HDEL', key, '') -- a first write that needs no memory: from here on Redis refuses none for lack of it
redis.call('HSET', key, 't', digits(now))
redis.call('PEXPIREAT', key, ends)
if login then
  redis.call('ZADD', index, ends, digits(-login))
  settle(index)
end
return 1
