-- Lists the sessions of a user, and takes out what has ended.
--
-- KEYS[1]  the index, see users.lua
--
-- Returns the names of the sessions; of more than 500 that have ended some, too.

purge(KEYS[1], ms(clock()))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0')
