-- Notes a login in the index of its user, before it is carried out: what is alive
-- is listed. Refuses one that a revocation has overtaken, or that is one too many.
--
-- KEYS[1]  the index
-- ARGV[1]  the id of the session
-- ARGV[2]  its absolute timeout, ms; '' for the one that it has
-- ARGV[3]  how long ago the check of the password began, us, or less
-- ARGV[4]  how many sessions the user may have, this one included; 0: any number
-- ARGV[5]  '1' to end the oldest where there is one too many
-- ARGV[6]  '1' where the caller has looked at all others
-- ARGV[7]  the start of the hash of the secret that the client presents
-- ARGV[8…] the ids of those that it found dead, each with its entry
--
-- Returns a list: what comes of it, now (us since 1970), the time of the last
-- revocation (us, 0 for none), and ids, each with its entry. What comes of it is 0, revoked; 1, noted, and 2, noted for the first time, and then the
-- sessions of the ids have to end first; -1, full, unless some of the sessions of
-- the ids are dead; -2, full. Or -1 alone: this is no index.
--
-- An entry is when the login was noted (us since 1970, 16 digits), the longest
-- absolute timeout that the session was ever noted with (ms, 13 digits), and that
-- start of a hash. It counts for an hour longer than the timeout, because the login
-- comes later than its note. The field '!' is the time of the last revocation.
--
-- Sent twice it gives the same answer twice: who has to end stays in the index
-- until somebody finds them dead.

local longest, slack = 34560000000, 3600000 -- 400 days, an hour
local remembered = 3600000000 -- an hour: who began earlier may be older than a revocation that is forgotten
local index, id, limit = KEYS[1], ARGV[1], tonumber(ARGV[4])

local function read(entry)
  if not string.find(string.sub(entry, 1, 29), string.rep('%d', 29)) then
    return 0, math.huge -- whatever it is, it may stand for a session
  end
  return tonumber(string.sub(entry, 1, 16)), math.min(longest, tonumber(string.sub(entry, 17, 29)))
end

local clock = redis.call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)
local stamp = redis.call('HGET', index, '!') or '0'
if not (#stamp < 17 and string.find(stamp, '^%d+$')) then
  return -1
end
stamp = tonumber(stamp)
if micros - ARGV[3] < stamp or tonumber(ARGV[3]) > remembered then
  return {0, micros, stamp}
end
for i = 8, #ARGV, 2 do
  if redis.call('HGET', index, ARGV[i]) == ARGV[i + 1] then -- it was not noted again
    redis.call('HDEL', index, ARGV[i])
  end
end

-- Reading all of them costs; without a limit it is done now and then.
local result = {2, micros, stamp}
if limit > 0 or clock[2] % (redis.call('HLEN', index) + 1) == 0 then
  local entries, others = redis.call('HGETALL', index), {}
  for i = 1, #entries, 2 do
    local name, login, span = entries[i], read(entries[i + 1])
    if name ~= '!' and name ~= id then
      if login / 1000 + span + slack < now then
        redis.call('HDEL', index, name)
      else
        others[#others + 1] = {login, name, entries[i + 1]}
      end
    end
  end
  local excess = #others - limit + 1
  if limit > 0 and excess > 0 then
    if ARGV[6] ~= '1' then
      result[1], excess = -1, #others
    elseif ARGV[5] ~= '1' then
      return {-2, micros, stamp}
    end
    table.sort(others, function(a, b)
      return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
    end)
    for i = 1, excess do
      result[2 + 2 * i], result[3 + 2 * i] = others[i][2], others[i][3]
    end
    if result[1] < 0 then
      return result
    end
  end
end

local span, had = tonumber(ARGV[2]) or 0, redis.call('HGET', index, id)
if had then
  local _, before = read(had)
  span = math.max(span, before) -- should this login fail the session has the one before
  result[1] = 1
end
if span == 0 or span > longest then
  span = longest
end
if ARGV[2] == '' then
  redis.call('HDEL', index, '') -- who is logged in already can prove it again; see refresh.lua
end
redis.call('HSET', index, id, string.format('%016.0f%013.0f', micros, span) .. ARGV[7])

-- The index lives as long as any of them.
local ends, left = now + span + slack, redis.call('PTTL', index)
if now + left < ends then
  local expires = redis.pcall('PEXPIREAT', index, string.format('%.0f', ends))
  if expires ~= 1 then
    if left < 0 then
      redis.call('UNLINK', index) -- not allowed to expire keys: none must live for ever
    end
    return expires
  end
end
return result
