-- Stores the time of a revocation and lists the user's sessions, in one step. The list
-- contains every earlier login. A later login is refused if its password check began before
-- the revocation.
--
-- KEYS[1]  the index, see users.lua
-- KEYS[2]  the time of the revocation, us since 1970
-- ARGV[1]  how long that time is kept, ms
--
-- Returns the names of the sessions.

redis.call('ZREM', KEYS[1], '') -- see refresh.lua
redis.call('SET', KEYS[2], digits(clock()), 'PX', ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0')
