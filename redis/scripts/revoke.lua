-- Notes that the sessions of a user are revoked, and reads the index of the user,
-- in one step: a login that was noted there before is read, and has to be ended;
-- one that comes later is refused if its check began before.
--
-- KEYS[1]  the index, see index.lua
-- ARGV[1]  how long the revocation has to be remembered, ms
--
-- Returns the ids in the index, each with its entry.

local index = KEYS[1]
local clock = redis.call('TIME')
local entries, notes = redis.call('HGETALL', index), {}
for i = 1, #entries, 2 do
  if entries[i] ~= '!' then
    notes[#notes + 1] = entries[i]
    notes[#notes + 1] = entries[i + 1]
  end
end
redis.call('HDEL', index, '') -- see refresh.lua
redis.call('HSET', index, '!', string.format('%.0f', clock[1] * 1000000 + clock[2]))
local now, left = clock[1] * 1000 + math.floor(clock[2] / 1000), redis.call('PTTL', index)
if left < tonumber(ARGV[1]) then
  local expires = redis.pcall('PEXPIREAT', index, string.format('%.0f', now + ARGV[1]))
  if expires ~= 1 then
    if left < 0 then
      redis.call('UNLINK', index) -- not allowed to expire keys: none must live for ever
    end
    return expires
  end
end
return notes
