-- Takes all values out of a session that lives; the session lives on.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
--
-- Returns 1; 0 where that session is gone.
--
-- Not sent twice: others may have changed the same values in between.

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
