-- Removes values from a live session.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2…] fields, each once; without fields the script only checks that the session lives
--
-- Returns 1, or 0 if that session no longer exists.
--
-- It is never sent again: other clients may have changed the same values since.

local key = KEYS[1]
if redis.call('HGET', key, 'n') ~= ARGV[1] then
  return 0
end
for i = 2, #ARGV, 1000 do
  local fields = {unpack(ARGV, i, math.min(i + 999, #ARGV))}
  removeValues(key, redis.call('HGET', key, 's'), fields, redis.call('HMGET', key, unpack(fields)))
end
return 1
