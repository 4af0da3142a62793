-- Ends a session if it is a user's. If it is nobody's yet, or must be spared, the
-- login that was noted for it must fail, if that is still under way.
--
-- KEYS[1]  the record
-- ARGV[1]  the user
-- ARGV[2]  when that login was noted (us since 1970, 16 digits), and why it fails:
--          'r', the user was revoked; 'l', there is one too many. Anything shorter
--          if that is not known
-- ARGV[3]  '1' to spare the session
--
-- Returns 1 where it has ended, 2 where a login is refused from now on; 0 where
-- nothing is done.

local key, user, fence = KEYS[1], ARGV[1], ARGV[2]
local r = redis.call('HMGET', key, 'n', 'u', 'f')
if r[2] == user and ARGV[3] ~= '1' then
  redis.call('UNLINK', key)
  return 1
end
if r[1] and (not r[2] or r[2] == user) and #fence == 17 and fence > (r[3] or '') then
  redis.call('HDEL', key, '') -- see refresh.lua
  redis.call('HSET', key, 'f', fence)
  return 2
end
return 0
