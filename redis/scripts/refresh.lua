-- Restarts the idle timeout of a session. The session still ends with its absolute timeout,
-- which began with the last login, or with the creation of the session.
--
-- KEYS[1]  the record
-- KEYS[2]  the index of its user, if its id has a home
-- ARGV[1]  the name of the session in the index
--
-- Returns 1, or 0 if there is no record, or -1 if the key holds data in another format. If
-- the index does not list the session, the script ends it and returns 0. That happens after
-- somebody has deleted the index, or after the clock was ahead for a while.

local key, index = KEYS[1], KEYS[2]
local r = redis.call('HMGET', key, 'n', 'c', 'i', 'a', 't', 'l', 'u')
if not (r[1] and string.find(r[1], '^2.')) then
  return noRecord(key, r[1])
end
r[2], r[6] = r[2] or r[6], r[6] or r[2]
for i = 2, 6 do
  if not isNumber(r[i]) then
    return -1
  end
end
local idle, absolute, seen, began = tonumber(r[3]), tonumber(r[4]), tonumber(r[5]), tonumber(r[6])

-- Use at least the time of the last refresh: a clock that went back shortens no session.
local now = math.max(seen, ms(clock()))
local login = index and redis.call('ZSCORE', index, ARGV[1])
if index and r[7] and not login then
  redis.call('UNLINK', key) -- no limit counts it, and a revocation may have missed it
  return 0
end
local ends = digits(math.min(now + idle, began + absolute))
redis.call('HDEL', key, '') -- needs no memory; after a first write, Redis lets the script write more even if memory is full
redis.call('HSET', key, 't', digits(now))
redis.call('PEXPIREAT', key, ends)
if login then
  redis.call('ZADD', index, ends, digits(-login))
  expireIndex(index)
end
return 1
