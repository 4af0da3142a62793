-- Lists the sessions of a user, and removes ended sessions from the index.
--
-- KEYS[1]  the index, see users.lua
--
-- Returns the names of the sessions. If more than 500 sessions have ended, the list still
-- contains some of them.

purge(KEYS[1], ms(clock()))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0')
