-- Returns the clock of the server that holds a record, in ms since 1970.
--
-- KEYS[1]  the record: a Cluster routes the command by this key

local _, clock = KEYS[1], redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000)
