-- Notes that the sessions of a user are revoked, and lists them, in one step: a login
-- that was carried out before is listed; one that comes later is refused if its check
-- began before.
--
-- KEYS[1]  the index, see users.lua
-- KEYS[2]  when that was, us since 1970
-- ARGV[1]  how long it has to be remembered, ms
--
-- Returns the names of the sessions.

redis.call('ZREM', KEYS[1], '') -- see refresh.lua
redis.call('SET', KEYS[2], digits(clock()), 'PX', ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0')
