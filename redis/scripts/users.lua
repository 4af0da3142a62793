-- Functions that several scripts share. The store puts them in front of each such script.
--
-- A user's sessions are listed in one sorted set, their index. Each session has two members:
--
--   its name, scored with minus the time of its last login (us since 1970), and
--   that time, scored with the time when the session ends (ms since 1970).
--
-- So scores below zero are logins, and the highest of them is the oldest login. Scores above
-- zero are ends. No two logins of a user have the same time.

local function digits(number)
  return string.format('%.0f', number)
end

-- clock returns the time of the server, us since 1970.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function ms(micros)
  return math.floor(micros / 1000)
end

-- isNumber reports whether a field of a record is a number.
local function isNumber(field)
  return field and #field < 16 and string.find(field, '^%d+$')
end

-- noRecord returns the reply of a script that finds no usable record. It is 0 if there is none
-- or a login has taken it. It is -1 if the key holds data in another format.
local function noRecord(key, n)
  if n and string.sub(n, 1, 1) == 't' then
    return 0
  end
  return -redis.call('EXISTS', key)
end

-- isRecord reports whether the fields n, h, o and b form a record.
local function isRecord(n, h, o, b)
  return n and h and string.find(n, '^2.') and #h == 32 and #(o or '') % 62 == 0
    and (not b or #b > 13 and isNumber(string.sub(b, 1, 13)))
end

-- isCurrent reports whether the newest secret is still good; see prove.lua.
local function isCurrent(b, now)
  return not b or now < tonumber(string.sub(b, 1, 13))
end

-- isGood reports whether a secret opens the session with the fields h, o and b; see authenticate.lua.
local function isGood(presented, h, o, b, now)
  local good = presented == h and isCurrent(b, now)
  for i = 1, #(o or ''), 62 do
    if string.sub(o, i, i + 31) == presented then
      good = good or string.sub(o, i + 48, i + 48) == 'g' or now < (tonumber(string.sub(o, i + 49, i + 61)) or 0)
    end
  end
  return good
end

-- readSecrets reads the old secrets of field o. A client has shown the successor of every secret from
-- byte older on, so the grace of these begins. readSecrets returns the secrets, the position of the
-- last good one, and whether any grace has begun.
local function readSecrets(o, older, now)
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

-- rememberRemoved stores the starts of removed secrets in field x, see authenticate.lua.
local function rememberRemoved(key, removed)
  if removed ~= '' then
    redis.call('HSET', key, 'x', string.sub(removed .. (redis.call('HGET', key, 'x') or ''), 1, 56))
  end
end

-- removeSecrets removes the secrets after the last good one: nobody can use them.
local function removeSecrets(key, secrets, good)
  local removed = ''
  while #secrets > good do
    removed = string.sub(table.remove(secrets), 1, 8) .. removed
  end
  rememberRemoved(key, removed)
end

-- unlist removes a session from an index.
local function unlist(index, name)
  local login = redis.call('ZSCORE', index, name)
  if login then
    redis.call('ZREM', index, name, digits(-login))
  end
end

-- endOf returns when a session ends according to its index, or 0 if the index does not list it.
local function endOf(index, name)
  local login = redis.call('ZSCORE', index, name)
  return tonumber(login and redis.call('ZSCORE', index, digits(-login)) or 0)
end

-- purge removes ended sessions, at most 500, because a script must be short. Redis keeps a key
-- until the millisecond of its end is over, and the index lists the session until then too.
local function purge(index, now)
  for _, login in ipairs(redis.call('ZRANGEBYSCORE', index, 0, '(' .. digits(now), 'LIMIT', 0, 500)) do
    local names = string.find(login, '^%d+$') and redis.call('ZRANGEBYSCORE', index, '-' .. login, '-' .. login) or {}
    redis.call('ZREM', index, login, unpack(names)) -- a member that is not a time was not written by this package
  end
end

-- expireIndex makes the index expire with its last session, at the time last if the caller knows it.
-- If the server refuses to expire keys, expireIndex returns that error: no key may live for ever.
local function expireIndex(index, last)
  last = last or redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')[2]
  local expires = last and redis.pcall('PEXPIREAT', index, digits(last)) or 1
  if expires ~= 1 then
    if redis.call('PTTL', index) < 0 then
      redis.call('UNLINK', index)
    end
    return expires
  end
end

