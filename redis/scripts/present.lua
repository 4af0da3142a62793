-- Authenticates the secret that a client presents, notes that it was seen, and
-- rotates to a successor where one is given, or binds the session to a device.
--
-- KEYS[1]  the record
-- ARGV[1]  the hash of the secret
-- ARGV[2]  the salt that leads to its successor      \
-- ARGV[3]  the hash of its successor                  > all or none
-- ARGV[4]  for how long the secret is good then, ms  /
-- ARGV[5]  how many old secrets may be good at once  /
-- ARGV[6]  the device                              \ to bind it, or none; the salt is zero
-- ARGV[7]  for how long the successor is good, ms  / then, because it leads nowhere
--
-- Returns the whole record, as HGETALL does; 0 where there is none, or the
-- secret is not its; -1 where it is none of ours; -2 where the secret is over, unless
-- that is for a rotation to tell; -7 where the session has a device; -10 where
-- too many old secrets are good to bind it.
--
-- Field o holds the old secrets, newest first, 62 bytes each: the hash (32), the
-- salt that leads to its successor (16), and its state: 'g' and its grace while
-- nobody has shown a successor, from then on 'u' and until when it is good (ms,
-- 13 digits). Field x holds those that were taken out of it, newest first, eight
-- bytes of each hash, the last seven: they are refused, and recognised.
--
-- Sent twice it rotates once: the second presents an old secret, and those only
-- learn the successor. It binds once: the second finds its successor.

local key, presented, successor, device = KEYS[1], ARGV[1], ARGV[3], ARGV[6]
local r = redis.call('HMGET', key, 'n', 'h', 'o', 'b')
if not isRecord(r[1], r[2], r[3], r[4]) then
  return missing(key, r[1])
end
local newest, old, now = r[2], r[3] or '', ms(clock())

-- Which of them is it? All that are older than it were followed.
local older, over
if presented == newest then
  older, over = isCurrent(r[4], now) and 1, true
else
  for i = 1, #old, 62 do
    local state, time = string.sub(old, i + 48, i + 48), tonumber(string.sub(old, i + 49, i + 61))
    if string.sub(old, i, i + 31) == presented then
      older, over = (state == 'g' or now < time) and i + 62, true
      break
    end
  end
end
if not older then
  if successor and not device then
    return 0
  end
  local spent = over and '' or redis.call('HGET', key, 'x') or ''
  for i = 1, #spent, 8 do
    over = over or string.sub(spent, i, i + 7) == string.sub(presented, 1, 8)
  end
  return over and -2 or 0
end
if device and r[4] then
  return newest == successor and redis.call('HGETALL', key) or -7
end

local kept, good, changed = sift(old, older, now)
if successor and not r[4] and (device or presented == newest) then
  local full = good >= tonumber(ARGV[5])
  if full and device then
    return -10
  end
  changed = changed or #kept > good
  bury(key, kept, good)
  if not full then
    table.insert(kept, 1, newest .. ARGV[2] .. string.format('g%013.0f', ARGV[4]))
    changed = true
    redis.call('HSET', key, 'h', successor, 'r', digits(now))
    if device then
      redis.call('HSET', key, 'b', string.format('%013.0f', now + ARGV[7]) .. device)
    end
  end
end
if changed then
  redis.call('HDEL', key, '') -- see refresh.lua; a rotation has written before, and was refused there
  if #kept == 0 then
    redis.call('HDEL', key, 'o')
  else
    redis.call('HSET', key, 'o', table.concat(kept))
  end
end
return redis.call('HGETALL', key)
