-- Makes a session a user's, in one step: all of its secrets but the new one are
-- dead, its timeouts begin anew.
--
-- KEYS[1]  the record
-- KEYS[2]  the index of the user for the slot of the record; while that slot moves
--          a script can have one key only, and slot.lua comes first
-- ARGV[1]  the id of the session
-- ARGV[2]  the hash of the secret that the client presents
-- ARGV[3]  the hash of the new one
-- ARGV[4]  the user
-- ARGV[5]  the level; '' for the one that the session has
-- ARGV[6]  idle timeout, ms; '' where the user proves again who they are: the
--          session must be theirs, and keeps what follows
-- ARGV[7]  absolute timeout, ms
-- ARGV[8]  '1' for a persistent session, or ''
-- ARGV[9]  when the login was noted, us since 1970, 16 digits
-- ARGV[10…] the device, in at most six pieces
--
-- Returns the whole record, as HGETALL does; 0 where there is none, or the secret
-- is not its, or it is another user's, or a later login of the user has taken its
-- place; -1 where it is none of ours; -3 where the user was revoked since the note.
--
-- Sent twice it is done once: the second finds the new secret.

local key, presented, secret, user, idle, absolute = KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6], ARGV[7]
local r = redis.call('HMGET', key, 'n', 'h', 'o', 'u', 'i', 'a', 'f')
if not (r[1] and r[2]) then
  return -redis.call('EXISTS', key)
end
local newest, old, owner = r[2], r[3] or '', r[4]
if not string.find(r[1], '^1.') or #newest ~= 32 or #old % 62 ~= 0 then
  return -1
end
if newest == secret and owner == user then
  return redis.call('HGETALL', key)
end
if owner and owner ~= user or not owner and idle == '' then
  return 0
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local good = presented == newest
for i = 1, #old, 62 do -- see present.lua
  if string.sub(old, i, i + 31) == presented then
    good = good or string.sub(old, i + 48, i + 48) == 'g' or now < tonumber(string.sub(old, i + 49, i + 61))
  end
end
if not good then
  return 0
end
-- Field f is the fence that kill.lua has left.
if r[7] and string.sub(r[7], 1, 16) >= ARGV[9] then
  return string.sub(r[7], 17) == 'r' and -3 or 0
end
local again = idle == ''
if again then
  idle, absolute = r[5], r[6]
  for _, number in ipairs({idle, absolute}) do
    if not (number and #number < 16 and string.find(number, '^%d+$')) then
      return -1
    end
  end
end

local index, ends = KEYS[2], now + absolute
if index then
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, string.format('%.0f', ends), ARGV[1])
  local left = redis.call('PTTL', index)
  if now + left < ends then
    local expires = redis.pcall('PEXPIREAT', index, string.format('%.0f', ends))
    if expires ~= 1 then
      if left < 0 then
        redis.call('UNLINK', index)
      end
      return expires
    end
  end
end

local at = string.format('%.0f', now)
redis.call('HDEL', key, 'o', 'x', 'r', 'f')
redis.call('HSET', key, 'h', secret, 'u', user, 'l', at, 't', at)
if ARGV[5] ~= '' then
  redis.call('HSET', key, 'v', ARGV[5])
end
if not again then
  redis.call('HDEL', key, 'p', 'd0', 'd1', 'd2', 'd3', 'd4', 'd5')
  redis.call('HSET', key, 'i', idle, 'a', absolute)
  if ARGV[8] ~= '' then
    redis.call('HSET', key, 'p', ARGV[8])
  end
  for i = 10, #ARGV do
    redis.call('HSET', key, 'd' .. i - 10, ARGV[i])
  end
end
-- Last, because it may find that the time is over, and delete the key.
local record = redis.call('HGETALL', key)
redis.call('PEXPIREAT', key, string.format('%.0f', math.min(now + idle, ends)))
return record
