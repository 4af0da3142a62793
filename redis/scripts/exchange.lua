-- Replaces one value of a session that lives, if it is what the caller saw.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2]  how many values a session may hold
-- ARGV[3]  how large they may be together
-- ARGV[4]  what the caller saw in the field: '=' and the value, or '' for nothing
-- ARGV[5]  '=' to store a value there, '-' to take it out, '' to change nothing, which
--          is a question
-- ARGV[6]  the field
-- ARGV[7]  the new value
--
-- Returns 1; 0 where that session is gone; -6 where it would hold too many values,
-- -11 where they would be too large; and where the field holds something else than what
-- the caller saw, changing nothing, that: '=' and the value, or '' for nothing.
--
-- Must not be sent twice: the second would find the first one's work.

local key, seen, change = KEYS[1], ARGV[4], ARGV[5]
local r = look(key, 6)
if r[1] ~= ARGV[1] then
  return 0
end
local stored = ''
if r[3] then
  stored = '=' .. r[3]
end
if stored ~= seen then
  return stored
end

if change == '-' then
  remove(key, r[2], {ARGV[6]}, {r[3]})
elseif change == '=' and ARGV[7] ~= r[3] then -- what is there needs no memory
  local s, refused = add(key, r[2], r, 6, ARGV[2], ARGV[3])
  if refused then
    return refused
  end
  redis.call('HSET', key, 's', s, ARGV[6], ARGV[7])
end
return 1
