-- Takes an anonymous session for a login: from here on it is gone for everybody else,
-- and its values are those that the login stores elsewhere. For some time restore.lua
-- can give it back.
--
-- KEYS[1]  the record
-- ARGV[1]  the hash of the secret that the client presents
-- ARGV[2]  a nonce, 11 characters
-- ARGV[3]  for how long it can be given back, ms
--
-- Returns the whole record, as HGETALL does, with 't' and the nonce in front of its
-- incarnation; 0 where there is none, it is somebody's or has another secret; -1 where
-- it is none of ours.
--
-- Sent twice it does the same twice. A copy that comes after restore.lua finds its
-- nonce in field g, and takes nothing.

local key, nonce = KEYS[1], ARGV[2]
local r = redis.call('HMGET', key, 'n', 'h', 'o', 'u', 'g', 'b')
if r[1] and string.sub(r[1], 1, 12) == 't' .. nonce then
  return redis.call('HGETALL', key)
end
if not isRecord(r[1], r[2], r[3], r[6]) then
  return missing(key, r[1])
end
if r[4] or string.find(r[5] or '', nonce, 1, true) or not isGood(ARGV[1], r[2], r[3], r[6], ms(clock())) then
  return 0
end
redis.call('HSET', key, 'n', 't' .. nonce .. r[1])
local left = redis.call('PTTL', key)
if left < 0 or left > tonumber(ARGV[3]) then
  redis.call('PEXPIRE', key, ARGV[3])
end
return redis.call('HGETALL', key)
