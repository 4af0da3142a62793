-- Replaces one value of a live session if the field still holds what the caller saw.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2]  how many values a session may hold
-- ARGV[3]  how many bytes they may have together
-- ARGV[4]  what the caller saw in the field: '=' and the value, or '' for no value
-- ARGV[5]  '=' stores a value, '-' removes it, '' only compares
-- ARGV[6]  the field
-- ARGV[7]  the new value
--
-- Returns 1 on success, and 0 if that session no longer exists. It returns -6 for too many
-- values, and -11 if they would be too large. If the field holds something else than
-- ARGV[4], the script changes nothing and returns the field in the same form.
--
-- It must not be sent again: the second copy would find the change of the first.

local key, seen, change = KEYS[1], ARGV[4], ARGV[5]
local r = readFields(key, 6)
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
  removeValues(key, r[2], {ARGV[6]}, {r[3]})
elseif change == '=' and ARGV[7] ~= r[3] then -- an equal value needs no write, so no memory
  local s, refused = addValues(key, r[2], r, 6, ARGV[2], ARGV[3])
  if refused then
    return refused
  end
  redis.call('HSET', key, 's', s, ARGV[6], ARGV[7])
end
return 1
