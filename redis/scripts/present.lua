-- Authenticates the secret that a client presents, notes that it was seen, and
-- rotates to a successor where one is given.
--
-- KEYS[1]  the record
-- ARGV[1]  the hash of the secret
-- ARGV[2]  the salt that leads to its successor      \
-- ARGV[3]  the hash of its successor                  > all or none
-- ARGV[4]  for how long the secret is good then, ms  /
-- ARGV[5]  how many old secrets may be good at once  /
--
-- Returns the whole record, as HGETALL does; 0 where there is none, or the
-- secret is not its; -1 where it is none of ours; -2 where the secret is over, if
-- there is no successor in ARGV.
--
-- Field o holds the old secrets, newest first, 62 bytes each: the hash (32), the
-- salt that leads to its successor (16), and its state: 'g' and its grace while
-- nobody has shown a successor, from then on 'u' and until when it is good (ms,
-- 13 digits). Field x holds those that were taken out of it, newest first, eight
-- bytes of each hash, the last seven: they are refused, and recognised.
--
-- Sent twice it rotates once: the second presents an old secret, and those only
-- learn the successor.

local width = 62
local key, presented = KEYS[1], ARGV[1]
local r = redis.call('HMGET', key, 'n', 'h', 'o')
if not isRecord(r[1], r[2], r[3]) then
  return missing(key, r[1])
end
local newest, old, now = r[2], r[3] or '', ms(clock())

-- Which of them is it? All that are older than it were followed.
local older
if presented == newest then
  older = 1
else
  for i = 1, #old, width do
    local state, time = string.sub(old, i + 48, i + 48), tonumber(string.sub(old, i + 49, i + 61))
    if string.sub(old, i, i + 31) == presented then
      if state == 'g' or now < time then
        older = i + width
      elseif not ARGV[2] then
        return -2
      end
      break
    end
  end
end
if not older then
  return 0
end

-- The successors of the older ones were seen: their graces begin.
local kept, good, changed = {}, 0, false
for i = 1, #old, width do
  local entry = string.sub(old, i, i + width - 1)
  local state, time = string.sub(entry, 49, 49), tonumber(string.sub(entry, 50, 62))
  if i >= older and state == 'g' then
    state, time, changed = 'u', now + time, true
    entry = string.sub(entry, 1, 48) .. string.format('u%013.0f', time)
  end
  kept[#kept + 1] = entry
  if state == 'g' or now < time then
    good = #kept
  end
end

if ARGV[2] and presented == newest then
  -- Those behind the last good one lead nowhere.
  local over = ''
  while #kept > good do
    over, changed = string.sub(table.remove(kept), 1, 8) .. over, true
  end
  if over ~= '' then
    redis.call('HSET', key, 'x', string.sub(over .. (redis.call('HGET', key, 'x') or ''), 1, 56))
  end
  if good < tonumber(ARGV[5]) then
    table.insert(kept, 1, newest .. ARGV[2] .. string.format('g%013.0f', ARGV[4]))
    changed = true
    redis.call('HSET', key, 'h', ARGV[3], 'r', string.format('%.0f', now))
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
