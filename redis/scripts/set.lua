-- Stores values in a live session.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2]  how many values a session may hold
-- ARGV[3]  how many bytes they may have together
-- ARGV[4…] fields and values; without them the script only checks that the session lives
--
-- Returns 1, or 0 if that session no longer exists. It stores nothing and returns -6 for too
-- many values, and -11 if they would be too large.
--
-- It is never sent again: other clients may have changed the same values since.

local key = KEYS[1]
local r = readFields(key, 4)
if r[1] ~= ARGV[1] then
  return 0
end
if #ARGV == 3 then
  return 1
end
local s, refused = addValues(key, r[2], r, 4, ARGV[2], ARGV[3])
if refused then
  return refused
end
redis.call('HSET', key, 's', s, unpack(ARGV, 4))
return 1
