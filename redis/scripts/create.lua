-- Creates the record of a session, unless the key already exists.
--
-- KEYS[1]  the record
-- ARGV[1]  its incarnation, which no other record has
-- ARGV[2]  the hash of the first secret
-- ARGV[3]  idle timeout, ms
-- ARGV[4]  absolute timeout, ms, at least the idle timeout
--
-- Returns the time of creation, ms since 1970, or -5 if the key is in use.
--
-- The script replaces a record that a login has taken, because that session has ended
-- (see take.lua). If the login is then refused, restore.lua finds nothing to restore.
--
-- It is never sent again: a late copy would bring back a session that was removed since.
-- A copy that arrives while the record lives finds its own incarnation and changes nothing.

local key, incarnation = KEYS[1], ARGV[1]
if redis.call('EXISTS', key) == 1 then
  local found = redis.call('HMGET', key, 'n', 'c')
  if found[1] == incarnation then
    return tonumber(found[2])
  end
  if not string.find(found[1] or '', '^t...........2') then -- see take.lua
    return -5
  end
  redis.call('UNLINK', key)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local at = string.format('%.0f', now)
redis.call('HSET', key,
  'n', incarnation, 'h', ARGV[2], 'c', at, 't', at, 'i', ARGV[3], 'a', ARGV[4])
local expires = redis.pcall('PEXPIREAT', key, string.format('%.0f', now + ARGV[3]))
if expires ~= 1 then
  redis.call('UNLINK', key) -- Redis refused to expire the key, and no session may live for ever
  return expires
end
return now
