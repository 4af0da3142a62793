-- Tells the time of the server that has a record.
--
-- KEYS[1]  the record, which is not looked at
--
-- Returns the time, ms since 1970.

local clock = redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000)
