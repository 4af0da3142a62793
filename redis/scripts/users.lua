-- What the scripts share; each of them begins with this.
--
-- The sessions of a user are listed in one sorted set, their index. Each of them has
-- two members there:
--
--   its name, scored with minus the time of its last login (us since 1970), and
--   that time, scored with the time when the session ends (ms since 1970).
--
-- So the scores under zero are logins, the oldest is the highest; those above it are
-- ends. No two logins of a user have the same time.

local function digits(number)
  return string.format('%.0f', number)
end

-- The time of the server, us since 1970.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function ms(micros)
  return math.floor(micros / 1000)
end

-- Whether a field of a record is a number.
local function isNumber(field)
  return field and #field < 16 and string.find(field, '^%d+$')
end

-- What a script answers that finds no record to work with: 0 where there is none, or
-- a login has taken it; -1 where the key holds none of ours.
local function missing(key, n)
  if n and string.sub(n, 1, 1) == 't' then
    return 0
  end
  return -redis.call('EXISTS', key)
end

-- Whether the fields n, h, o and b are those of a record.
local function isRecord(n, h, o, b)
  return n and h and string.find(n, '^2.') and #h == 32 and #(o or '') % 62 == 0
    and (not b or #b > 13 and isNumber(string.sub(b, 1, 13)))
end

-- Whether the newest secret has not ended yet; see prove.lua.
local function isCurrent(b, now)
  return not b or now < tonumber(string.sub(b, 1, 13))
end

-- Whether a secret opens the session of the fields h, o and b now; see present.lua.
local function isGood(presented, h, o, b, now)
  local good = presented == h and isCurrent(b, now)
  for i = 1, #(o or ''), 62 do
    if string.sub(o, i, i + 31) == presented then
      good = good or string.sub(o, i + 48, i + 48) == 'g' or now < (tonumber(string.sub(o, i + 49, i + 61)) or 0)
    end
  end
  return good
end

-- Reads the old secrets of field o. The successors of those from byte older on were seen:
-- their graces begin. Returns the secrets, the place of the last good one, and whether a
-- grace has begun.
local function sift(o, older, now)
  local secrets, good, changed = {}, 0, false
  for i = 1, #o, 62 do
    local secret = string.sub(o, i, i + 61)
    local state, time = string.sub(secret, 49, 49), tonumber(string.sub(secret, 50, 62))
    if i >= older and state == 'g' then
      state, time, changed = 'u', now + time, true
      secret = string.sub(secret, 1, 48) .. string.format('u%013.0f', time)
    end
    secrets[#secrets + 1] = secret
    if state == 'g' or now < time then
      good = #secrets
    end
  end
  return secrets, good, changed
end

-- Remembers the starts of secrets that were taken out, see present.lua.
local function remember(key, over)
  if over ~= '' then
    redis.call('HSET', key, 'x', string.sub(over .. (redis.call('HGET', key, 'x') or ''), 1, 56))
  end
end

-- Takes out the secrets behind the last good one, which lead nowhere.
local function bury(key, secrets, good)
  local over = ''
  while #secrets > good do
    over = string.sub(table.remove(secrets), 1, 8) .. over
  end
  remember(key, over)
end

-- Takes a session out of an index.
local function leave(index, name)
  local login = redis.call('ZSCORE', index, name)
  if login then
    redis.call('ZREM', index, name, digits(-login))
  end
end

-- When a session ends, as its index says; 0 where it does not say.
local function endOf(index, name)
  local login = redis.call('ZSCORE', index, name)
  return tonumber(login and redis.call('ZSCORE', index, digits(-login)) or 0)
end

-- Takes out what has ended, some of it: a script must not take long. Redis has a key
-- until the millisecond of its end is over, and so long the session is listed.
local function purge(index, now)
  for _, login in ipairs(redis.call('ZRANGEBYSCORE', index, 0, '(' .. digits(now), 'LIMIT', 0, 500)) do
    local names = string.find(login, '^%d+$') and redis.call('ZRANGEBYSCORE', index, '-' .. login, '-' .. login) or {}
    redis.call('ZREM', index, login, unpack(names)) -- what is no time is none of ours
  end
end

-- Lets the index end with the last of its sessions, at last where that is known. Returns
-- the error of a server that does not let keys expire: none must live for ever.
local function settle(index, last)
  last = last or redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2]
  local expires = last and redis.pcall('PEXPIREAT', index, digits(last)) or 1
  if expires ~= 1 then
    if redis.call('PTTL', index) < 0 then
      redis.call('UNLINK', index)
    end
    return expires
  end
end

