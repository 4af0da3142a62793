-- Stores values in a session that lives.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2]  how many values a session may hold
-- ARGV[3…] fields and values; none is a question whether the session lives
--
-- Returns 1; 0 where that session is gone; -6 where it would hold too many
-- values, and then nothing is stored.
--
-- Not sent twice: others may have changed the same values in between.

local key = KEYS[1]
if redis.call('HGET', key, 'n') ~= ARGV[1] then
  return 0
end
if #ARGV == 2 then
  return 1
end

-- HLEN counts our own fields too, so it is only the first look. One value is
-- stored before it, because most replace one that is there.
local limit, given = tonumber(ARGV[2]), (#ARGV - 2) / 2
if given == 1 then
  if redis.call('HSET', key, ARGV[3], ARGV[4]) == 0 or redis.call('HLEN', key) <= limit then
    return 1
  end
elseif redis.call('HLEN', key) + given <= limit then
  redis.call('HSET', key, unpack(ARGV, 3))
  return 1
end

local count = 0
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, 1) == ':' then
    count = count + 1
  end
end
if given == 1 then
  if count > limit then
    redis.call('HDEL', key, ARGV[3])
    return -6
  end
  return 1
end
for i = 3, #ARGV, 2 do
  count = count + 1 - redis.call('HEXISTS', key, ARGV[i])
end
if count > limit then
  return -6
end
redis.call('HSET', key, unpack(ARGV, 3))
return 1
