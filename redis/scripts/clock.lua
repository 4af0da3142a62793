-- Tells the time of the server that has a record.
--
-- KEYS[1]  the record, which leads the command to its server
--
-- Returns the time, ms since 1970.

local _, clock = KEYS[1], redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000)
