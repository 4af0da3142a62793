-- Gives back a session that take.lua has taken, because the login was refused. A copy of
-- take.lua that arrives later takes nothing.
--
-- KEYS[1]  the record
-- ARGV[1]  the nonce with which it was taken
--
-- Returns 1, or 0 if there is no record, or -1 if the key holds data in another format.
--
-- Field g holds the nonces of the last five logins that were refused.

local key, nonce = KEYS[1], ARGV[1]
local r = redis.call('HMGET', key, 'n', 'c', 'i', 'a', 't', 'g')
if not (r[1] and string.find(r[1], '^[2t].')) then
  return -redis.call('EXISTS', key)
end
for i = 2, 5 do
  if not isNumber(r[i]) then
    return -1
  end
end
local refused, mark = r[6] or '', 't' .. nonce
redis.call('HDEL', key, '') -- see refresh.lua
if not string.find(refused, nonce, 1, true) then
  redis.call('HSET', key, 'g', string.sub(nonce .. refused, 1, 5 * #nonce))
end
if string.sub(r[1], 1, #mark) == mark then
  redis.call('HSET', key, 'n', string.sub(r[1], #mark + 1))
  redis.call('PEXPIREAT', key, digits(math.min(r[5] + r[3], r[2] + r[4])))
end
return 1
