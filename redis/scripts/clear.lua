-- Removes all values of a live session. The session itself stays.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
--
-- Returns 1, or 0 if that session no longer exists.
--
-- It is never sent again: other clients may have changed the same values since.

local key = KEYS[1]
if redis.call('HGET', key, 'n') ~= ARGV[1] then
  return 0
end
for _, field in ipairs(redis.call('HKEYS', key)) do
  if field == 's' or string.sub(field, 1, 1) == ':' then -- see values.lua
    redis.call('HDEL', key, field)
  end
end
return 1
