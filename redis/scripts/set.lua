-- Stores values in a session that lives.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2]  how many values a session may hold
-- ARGV[3]  how large they may be together
-- ARGV[4…] fields and values; none is a question whether the session lives
--
-- Returns 1; 0 where that session is gone; -6 where it would hold too many
-- values, -11 where they would be too large, and then nothing is stored.
--
-- Not sent twice: others may have changed the same values in between.

local key = KEYS[1]
local r = look(key, 4)
if r[1] ~= ARGV[1] then
  return 0
end
if #ARGV == 3 then
  return 1
end
local s, refused = add(key, r[2], r, 4, ARGV[2], ARGV[3])
if refused then
  return refused
end
redis.call('HSET', key, 's', s, unpack(ARGV, 4))
return 1
