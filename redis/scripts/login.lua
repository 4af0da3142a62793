-- Logs a user in, in one step: the record, its values, the index, the limit and
-- the revocation. A session begins, or one that is the user's goes on.
--
-- KEYS[1]  the record
-- KEYS[2]  the index of the user, see users.lua
-- KEYS[3]  when the user's sessions were revoked, us since 1970
-- KEYS[4…] records of sessions that may end for this one, the oldest first
-- ARGV[1]  the user
-- ARGV[2]  the name of the session in the index
-- ARGV[3]  the hash of the secret that the client presents; '' where a session begins
-- ARGV[4]  the hash of the new secret
-- ARGV[5]  the incarnation of a session that begins
-- ARGV[6]  the level; '' for the one that the session has
-- ARGV[7]  idle timeout, ms; '' where the user proves again who they are: the
--          session keeps what follows
-- ARGV[8]  absolute timeout, ms
-- ARGV[9]  '1' for a persistent session, or ''
-- ARGV[10] how long ago the check of the password began, us
-- ARGV[11] how many sessions the user may have, this one included; 0: any number
-- ARGV[12] '1' to end the oldest where there is one too many
-- ARGV[13] how many values a session may hold
-- ARGV[14] how large they may be together
-- ARGV[15] for how long this script may be on its way, us; 0 if that does not matter
-- ARGV[16] the revocation which that was found to be no matter for, or ''
-- ARGV[17] how many pieces of the device follow; behind them are the names of the
--          sessions in KEYS[4…], and then fields and values
--
-- Returns a number where nothing is done: 0 where the session is not there, is not the
-- user's or has another secret; -1 where a key holds none of ours; -3 where the user's
-- sessions were revoked meanwhile; -4 where there are too many; -5 where the record of
-- a session that begins is there already; -6 where it would hold too many values, -11
-- where they would be too large.
--
-- Else a list. 1, how many sessions of KEYS[4…] have ended, and what is stored: of a
-- session that begins the time (ms since 1970), of one that goes on the whole record, as
-- HGETALL gives it. Or 0, how many have ended, and the names of those that have to end
-- first, at most 500: nobody is logged in yet. Or -1, the time (us since 1970), and that
-- of a revocation, where the check began later than that, or earlier if the script was
-- on its way for as long as it may: nothing is done.
--
-- Where a session goes on it may be sent twice, and is done once: the second finds the
-- new secret. Where one begins it may not: a copy that comes late would log in
-- somebody who has logged out.

local remembered = 3600000000 -- an hour in us
local key, index, revoked = KEYS[1], KEYS[2], KEYS[3]
local user, name, presented, secret = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local idle, absolute = ARGV[7], ARGV[8]
local begins, again = presented == '', idle == ''

local micros = clock()
local now = ms(micros)
-- Most logins are of users of whom there is nothing yet, and nothing to look at.
local some = redis.call('EXISTS', key, index, revoked) > 0
local r = begins and {} or redis.call('HMGET', key, 'n', 'h', 'o', 'u', 'i', 'a', 'c', 'l', 'b')
if not begins then
  if not isRecord(r[1], r[2], r[3], r[9]) then
    return missing(key, r[1])
  end
  if r[4] ~= user then
    return 0
  end
  if r[2] == secret then -- done before; of those that may end for it these have
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

-- A revocation is remembered for longer than an hour; who began before that may be
-- older than one that is forgotten.
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
  local stored = begins and {} or look(key, values)
  size, refused = add(key, begins and '0 0' or stored[2], stored, values, ARGV[13], ARGV[14])
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
    -- The oldest of those that live. Some may have ended and not be purged yet.
    local wanted, fits = {}, true
    for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', index, '(0', '-inf', 'LIMIT', 0, math.min(excess, 500) + 1)) do
      if other == name or #wanted == excess then
        -- not this one
      elseif endOf(index, other) < now then
        leave(index, other)
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
      leave(index, wanted[i])
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
  redis.call('HDEL', key, '') -- see refresh.lua; any other login needs memory
end
local deadline = digits(math.min(now + idle, ends))
redis.call('ZADD', index, '-' .. digits(micros), name, deadline, digits(micros))
if own then
  redis.call('ZREM', index, digits(-own))
end
refused = settle(index, not some and deadline)
if refused then
  if begins then
    leave(index, name)
  end
  return refused
end
local fields = {'h', secret, 'u', user, 'l', at, 't', at}
local function put(field, value)
  fields[#fields + 1], fields[#fields + 2] = field, value
end
if begins then
  put('n', ARGV[5]) -- and no field c: it is made now
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

-- Last, because it may find that the time is over, and delete the key.
local record = begins and now or redis.call('HGETALL', key)
redis.call('PEXPIREAT', key, deadline)
return {1, ended, record}
