-- Takes the note of a login that was refused out of the index of its user, unless
-- another login of the session was noted since.
--
-- KEYS[1]  the index, see index.lua
-- ARGV[1]  the id of the session
-- ARGV[2]  when it was noted, us since 1970
--
-- Returns 1.

local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, 16) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
