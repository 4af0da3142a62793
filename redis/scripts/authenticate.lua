-- Authenticates the secret that a client presents, and notes that it was seen. With a
-- successor it also rotates the secret; with a device it binds the session to it.
--
-- KEYS[1]  the record
-- ARGV[1]  the hash of the secret
--
-- These four are given to rotate or to bind:
--
-- ARGV[2]  the salt that leads to the successor; zero to bind, when no secret leads to it
-- ARGV[3]  the hash of the successor
-- ARGV[4]  how long the old secret stays good, ms
-- ARGV[5]  how many old secrets may be good at once
--
-- These two are given to bind:
--
-- ARGV[6]  the device
-- ARGV[7]  how long the successor is good, ms
--
-- Returns the whole record, as from HGETALL, or a number:
--
--   0    the session does not exist, or never had this secret
--   -1   the key holds data in another format
--   -2   the secret is no longer good; a rotation returns 0 instead
--   -7   the session is already bound to a device
--   -10  too many old secrets are still good, so the session cannot be bound
--
-- Field o holds the old secrets, newest first, 62 bytes each: the hash (32), the salt that
-- leads to the successor (16), and the state (14). The state is 'g' and the grace until a
-- client shows a successor. Then it is 'u' and the time when the secret ends (ms, 13 digits).
-- Field x holds the last seven secrets that were removed from o, newest first, eight bytes
-- of each hash. They are refused, and recognised.
--
-- A second copy rotates nothing: its secret is old by then, and an old secret only leads
-- to its successor. A second copy binds nothing: it finds its own successor.

local key, presented, successor, device = KEYS[1], ARGV[1], ARGV[3], ARGV[6]
local r = redis.call('HMGET', key, 'n', 'h', 'o', 'b')
if not isRecord(r[1], r[2], r[3], r[4]) then
  return noRecord(key, r[1])
end
local newest, old, now = r[2], r[3] or '', ms(clock())

-- Find the presented secret. The client has moved on from all older secrets.
local older, known
if presented == newest then
  older, known = isCurrent(r[4], now) and 1, true
else
  for i = 1, #old, 62 do
    local state, time = string.sub(old, i + 48, i + 48), tonumber(string.sub(old, i + 49, i + 61))
    if string.sub(old, i, i + 31) == presented then
      older, known = (state == 'g' or now < time) and i + 62, true
      break
    end
  end
end
if not older then
  if successor and not device then
    return 0
  end
  local removed = known and '' or redis.call('HGET', key, 'x') or ''
  for i = 1, #removed, 8 do
    known = known or string.sub(removed, i, i + 7) == string.sub(presented, 1, 8)
  end
  return known and -2 or 0
end
if device and r[4] then
  return newest == successor and redis.call('HGETALL', key) or -7
end

local secrets, good, changed = readSecrets(old, older, now)
if successor and not r[4] and (device or presented == newest) then
  local full = good >= tonumber(ARGV[5])
  if full and device then
    return -10
  end
  changed = changed or #secrets > good
  removeSecrets(key, secrets, good)
  if not full then
    table.insert(secrets, 1, newest .. ARGV[2] .. string.format('g%013.0f', ARGV[4]))
    changed = true
    redis.call('HSET', key, 'h', successor, 'r', digits(now))
    if device then
      redis.call('HSET', key, 'b', string.format('%013.0f', now + ARGV[7]) .. device)
    end
  end
end
if changed then
  redis.call('HDEL', key, '') -- see refresh.lua; a rotation without memory has failed at its first write above
  if #secrets == 0 then
    redis.call('HDEL', key, 'o')
  else
    redis.call('HSET', key, 'o', table.concat(secrets))
  end
end
return redis.call('HGETALL', key)
