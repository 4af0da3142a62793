-- Ends a session if it is a user's, or nobody's: one that is in the index of a
-- user and nobody's yet is a login under way, and that must fail.
--
-- KEYS[1]  the record
-- ARGV[1]  the user
--
-- Returns 1 where it was the user's, 2 where it was nobody's; 0 where nothing is
-- done.

local r = redis.call('HMGET', KEYS[1], 'n', 'u')
if r[2] == ARGV[1] then
  redis.call('UNLINK', KEYS[1])
  return 1
elseif r[1] and not r[2] then
  redis.call('UNLINK', KEYS[1])
  return 2
end
return 0
