-- Gives the device of a session a new secret, once for each challenge.
--
-- KEYS[1]  the record
-- ARGV[1]  the device
-- ARGV[2]  the first eight bytes of the hash of the challenge that the device answers
-- ARGV[3]  how long that challenge is refused from now on, ms
-- ARGV[4]  the hash of the new secret
-- ARGV[5]  how long the new secret is good, ms
-- ARGV[6]  how many old secrets may be good, and how many challenges refused, at once
--
-- Returns the whole record, as from HGETALL, or a number:
--
--   0    the session does not exist
--   -1   the key holds data in another format
--   -8   the session is not bound to this device
--   -9   the challenge was answered before
--   -10  too many old secrets are still good, or too many challenges are refused
--
-- Field b holds the time when the newest secret ends (ms, 13 digits), and the device. Field q
-- holds the answered challenges, 21 bytes each: the start of the hash (8), and the time
-- until which the challenge is refused (ms, 13 digits). The previous secret is good until its
-- own end. It leads to no successor, so its salt in field o is zero.
--
-- A second copy changes nothing: it finds its own secret.

local key, device, challenge, fresh, limit = KEYS[1], ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[6])
local r = redis.call('HMGET', key, 'n', 'h', 'o', 'b', 'q')
local newest, old, bound, answered = r[2], r[3] or '', r[4] or '', r[5] or ''
if not isRecord(r[1], newest, old, r[4]) or #answered % 21 ~= 0 then
  return noRecord(key, r[1])
end
if string.sub(bound, 14) ~= device then
  return -8
end
if newest == fresh or string.find(old, fresh, 1, true) then
  return redis.call('HGETALL', key)
end

local now, refused = ms(clock()), {}
for i = 1, #answered, 21 do
  local ends = string.sub(answered, i + 8, i + 20)
  if not isNumber(ends) then
    return -1
  end
  if now < tonumber(ends) then
    if string.sub(answered, i, i + 7) == challenge then
      return -9
    end
    refused[#refused + 1] = string.sub(answered, i, i + 20)
  end
end
-- No secret leads to another, so the script removes every secret that is no longer good.
local secrets, removed = {}, ''
for _, secret in ipairs((readSecrets(old, #old + 1, now))) do
  if string.sub(secret, 49, 49) == 'g' or now < tonumber(string.sub(secret, 50, 62)) then
    secrets[#secrets + 1] = secret
  else
    removed = removed .. string.sub(secret, 1, 8)
  end
end
if #refused >= limit or #secrets >= limit then
  return -10
end

redis.call('HDEL', key, '') -- see refresh.lua: the device stays logged in even when memory is full
rememberRemoved(key, removed)
table.insert(secrets, 1, newest .. string.rep('\0', 16) .. 'u' .. string.sub(bound, 1, 13))
secrets = readSecrets(table.concat(secrets), 1, now) -- a device that proves itself has received the secret of the binding
refused[#refused + 1] = challenge .. string.format('%013.0f', now + ARGV[3])
redis.call('HSET', key, 'h', fresh, 'r', digits(now), 'o', table.concat(secrets), 'q', table.concat(refused),
  'b', string.format('%013.0f', now + ARGV[5]) .. device)
return redis.call('HGETALL', key)
