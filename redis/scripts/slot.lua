-- Notes a session in the index of its user for the slot of its record, where
-- login.lua cannot: while that slot moves a script can have one key only.
--
-- KEYS[1]  the index
-- ARGV[1]  the id of the session
-- ARGV[2]  for how long it can live, ms
--
-- Returns 1.

local index = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ends = now + ARGV[2] + 3600000 -- the login comes later than its note
redis.call('ZREMRANGEBYSCORE', index, '-inf', now) -- also a first write that needs no memory, see refresh.lua
redis.call('ZADD', index, string.format('%.0f', ends), ARGV[1])
local left = redis.call('PTTL', index)
if now + left < ends then
  local expires = redis.pcall('PEXPIREAT', index, string.format('%.0f', ends))
  if expires ~= 1 then
    if left < 0 then
      redis.call('UNLINK', index)
    end
    return expires
  end
end
return 1
