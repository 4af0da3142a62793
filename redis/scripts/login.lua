-- Logs a user in, in one step: record, values, index, limit and revocation. It begins a
-- session, or continues a session of the same user.
--
-- KEYS[1]  the record
-- KEYS[2]  the index of the user, see users.lua
-- KEYS[3]  when the user's sessions were revoked, us since 1970
-- KEYS[4…] records of sessions that this login may end, the oldest first
-- ARGV[1]  the user
-- ARGV[2]  the name of the session in the index
-- ARGV[3]  the hash of the secret that the client presents; '' begins a session
-- ARGV[4]  the hash of the new secret
-- ARGV[5]  the incarnation of a session that begins
-- ARGV[6]  the level; '' keeps the level of the session
-- ARGV[7]  idle timeout, ms; '' for a reauthentication, which keeps both timeouts,
--          persistence and the device
-- ARGV[8]  absolute timeout, ms
-- ARGV[9]  '1' for a persistent session, or ''
-- ARGV[10] how long ago the password check began, us
-- ARGV[11] how many sessions the user may have, including this one; 0: any number
-- ARGV[12] '1' to end the oldest sessions if there are too many
-- ARGV[13] how many values a session may hold
-- ARGV[14] how many bytes they may have together
-- ARGV[15] how long this script may travel to the server, us; 0 skips the check for it
-- ARGV[16] the revocation that is known to be earlier than the password check, or ''
-- ARGV[17] how many pieces of the device follow; then come the names of the sessions in
--          KEYS[4…], then fields and values
--
-- Returns a number if it refuses the login:
--
--   0    the session does not exist, belongs to another user, or has another secret
--   -1   a key holds data in another format
--   -3   the user's sessions were revoked after the password check began
--   -4   the user has too many sessions
--   -5   the record of the session that begins already exists
--   -6   the session would hold too many values
--   -11  the values would be too large
--
-- Otherwise it returns one of these lists:
--
--   {1, n, stored}     The user is logged in, and n sessions of KEYS[4…] have ended. stored is
--                      the time (ms since 1970) if the session begins. Otherwise it is the
--                      whole record, as from HGETALL.
--   {0, n, names}      Nobody is logged in yet, and n sessions have ended. The named sessions
--                      must end first; the list has at most 500 names.
--   {-1, now, revoked} Nothing is done. The order of the password check and the revocation
--                      depends on how long the script travelled. Both times: us since 1970.
--
-- A login that continues a session may be sent again: the second copy finds the new secret.
-- A login that begins a session may not: a late copy would log in a user who has logged out.

local remembered = 3600000000 -- an hour in us
local key, index, revoked = KEYS[1], KEYS[2], KEYS[3]
local user, name, presented, secret = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local idle, absolute = ARGV[7], ARGV[8]
local begins, again = presented == '', idle == ''

local micros = clock()
local now = ms(micros)
-- For most logins none of the keys exists, and the checks below are skipped.
local some = redis.call('EXISTS', key, index, revoked) > 0
local r = begins and {} or redis.call('HMGET', key, 'n', 'h', 'o', 'u', 'i', 'a', 'c', 'l', 'b')
if not begins then
  if not isRecord(r[1], r[2], r[3], r[9]) then
    return noRecord(key, r[1])
  end
  if r[4] ~= user then
    return 0
  end
  if r[2] == secret then -- a first copy has done it, and has ended these sessions
    local ended = 0
    while KEYS[4 + ended] and redis.call('EXISTS', KEYS[4 + ended]) == 0 do
      ended = ended + 1
    end
    return {1, ended, redis.call('HGETALL', key)}
  end
  if not isGood(presented, r[2], r[3], r[9], now) then
    return 0
  end
end
if again then
  idle, absolute = r[5], r[6]
  if not (isNumber(idle) and isNumber(absolute)) then
    return -1
  end
end

-- A revocation is kept for more than an hour. An older password check may have begun before
-- a revocation that is already forgotten.
local stamp = some and redis.call('GET', revoked) or '0'
if not (#stamp < 17 and string.find(stamp, '^%d+$')) then
  return -1
end
local later = micros - ARGV[10] - stamp
if tonumber(ARGV[10]) > remembered or later < 0 then
  return -3
end
if later < tonumber(ARGV[15]) and stamp ~= ARGV[16] then
  return {-1, micros, stamp}
end

if begins and some and redis.call('EXISTS', key) == 1 then
  return -5
end

local pieces, given = tonumber(ARGV[17]), #KEYS - 3
local values, size, refused = 18 + pieces + given, nil, nil
if values < #ARGV then
  local stored = begins and {} or readFields(key, values)
  size, refused = addValues(key, begins and '0 0' or stored[2], stored, values, ARGV[13], ARGV[14])
end
if refused then
  return refused
end

local own, limit, ended = false, tonumber(ARGV[11]), 0
if some then
  purge(index, now)
  own = redis.call('ZSCORE', index, name)
end
if not begins and not own then
  redis.call('UNLINK', key) -- see refresh.lua
  return 0
end
if some and limit > 0 then
  local others = redis.call('ZCOUNT', index, digits(now), '+inf')
  if endOf(index, name) >= now then
    others = others - 1
  end
  local excess = others + 1 - limit
  if excess > 0 then
    if ARGV[12] ~= '1' then
      return -4
    end
    -- Find the oldest live sessions. The index may still list some that have ended.
    local wanted, fits = {}, true
    for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', index, '(0', '-inf', 'LIMIT', 0, math.min(excess, 500) + 1)) do
      if other == name or #wanted == excess then
        -- skip it
      elseif endOf(index, other) < now then
        unlist(index, other)
      else
        wanted[#wanted + 1] = other
        fits = fits and (#wanted > given or ARGV[17 + pieces + #wanted] == other)
      end
    end
    if given == 0 or given > #wanted or not fits then
      return {0, 0, wanted}
    end
    for i = 1, given do
      if redis.call('HGET', KEYS[3 + i], 'u') == user then
        redis.call('UNLINK', KEYS[3 + i])
      end
      unlist(index, wanted[i])
    end
    if given < excess then
      return {0, given, {}}
    end
    ended = given
  end
end

-- No two logins of a user have the same time.
while some and redis.call('ZSCORE', index, digits(micros)) do
  micros = micros + 1
end
local at, ends = digits(now), now + absolute
if again then
  redis.call('HDEL', key, '') -- see refresh.lua; every other login needs memory
end
local deadline = digits(math.min(now + idle, ends))
redis.call('ZADD', index, '-' .. digits(micros), name, deadline, digits(micros))
if own then
  redis.call('ZREM', index, digits(-own))
end
refused = expireIndex(index, not some and deadline)
if refused then
  if begins then
    unlist(index, name)
  end
  return refused
end
local fields = {'h', secret, 'u', user, 'l', at, 't', at}
local function put(field, value)
  fields[#fields + 1], fields[#fields + 2] = field, value
end
if begins then
  put('n', ARGV[5]) -- without field c: the session is created by this login
elseif r[8] and not r[7] then
  put('c', r[8])
end
if ARGV[6] ~= '' then
  put('v', ARGV[6])
end
if not begins then
  redis.call('HDEL', key, 'o', 'x', 'r', 'b', 'q')
end
if not begins and not again then
  redis.call('HDEL', key, 'p', 'd0', 'd1', 'd2', 'd3', 'd4', 'd5')
end
if not again then
  put('i', idle)
  put('a', absolute)
  if ARGV[9] ~= '' then
    put('p', ARGV[9])
  end
  for i = 1, pieces do
    put('d' .. i - 1, ARGV[17 + i])
  end
end
redis.call('HSET', key, unpack(fields))
if size then
  redis.call('HSET', key, 's', size, unpack(ARGV, values))
end

-- This comes last: Redis deletes the key if the deadline has passed.
local record = begins and now or redis.call('HGETALL', key)
redis.call('PEXPIREAT', key, deadline)
return {1, ended, record}
