-- Takes an anonymous session for a login. From now on no other call finds the session, and
-- the login stores its values elsewhere. restore.lua can give it back for a limited time.
--
-- KEYS[1]  the record
-- ARGV[1]  the hash of the secret that the client presents
-- ARGV[2]  a nonce, 11 characters
-- ARGV[3]  how long restore.lua can give the session back, ms
--
-- Returns the whole record, as from HGETALL; 't' and the nonce now precede its incarnation.
-- It returns 0 if there is no record, if the session has a user, or if it has another secret.
-- It returns -1 if the key holds data in another format.
--
-- A second copy changes nothing and returns the same. A copy that arrives after restore.lua
-- finds its nonce in field g, and takes nothing.

local key, nonce = KEYS[1], ARGV[2]
local r = redis.call('HMGET', key, 'n', 'h', 'o', 'u', 'g', 'b')
if r[1] and string.sub(r[1], 1, 12) == 't' .. nonce then
  return redis.call('HGETALL', key)
end
if not isRecord(r[1], r[2], r[3], r[6]) then
  return noRecord(key, r[1])
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
