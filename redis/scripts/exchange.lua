-- Replaces one value of a session that lives, if it is what the caller saw.
--
-- KEYS[1]  the record
-- ARGV[1]  the incarnation that was loaded
-- ARGV[2]  how many values a session may hold
-- ARGV[3]  the field
-- ARGV[4]  what the caller saw there: '=' and the value, or '' for nothing
-- ARGV[5]  what to make of it: '=' and the new value, '-' to take it out, '' to
--          change nothing, which is a question
--
-- Returns 1; 0 where that session is gone; -6 where it would hold too many
-- values; and where the field holds something else than what the caller saw,
-- changing nothing, that: '=' and the value, or '' for nothing.
--
-- Must not be sent twice: the second would find the first one's work.

local key, field, seen, change = KEYS[1], ARGV[3], ARGV[4], ARGV[5]
local r = redis.call('HMGET', key, 'n', field)
if r[1] ~= ARGV[1] then
  return 0
end
local stored = ''
if r[2] then
  stored = '=' .. r[2]
end
if stored ~= seen then
  return stored
end

if change == '-' then
  redis.call('HDEL', key, field)
elseif change ~= '' and change ~= stored then -- what is there needs no memory
  -- HLEN counts our own fields too, so it is only the first look.
  if stored == '' and redis.call('HLEN', key) >= tonumber(ARGV[2]) then
    local count = 0
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if string.sub(name, 1, 1) == ':' then
        count = count + 1
      end
    end
    if count >= tonumber(ARGV[2]) then
      return -6
    end
  end
  redis.call('HSET', key, field, string.sub(change, 2))
end
return 1
