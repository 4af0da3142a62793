-- Ends sessions, and takes them out of the index of their user.
--
-- KEYS[1]  the index
-- KEYS[2…] records
-- ARGV[1]  the user whose sessions these have to be; '' where that does not matter
-- ARGV[2…] their names in the index
--
-- Returns how many have ended.

local index, user, ended = KEYS[1], ARGV[1], 0
for i = 2, #KEYS do
  if user == '' or redis.call('HGET', KEYS[i], 'u') == user then
    ended = ended + redis.call('UNLINK', KEYS[i])
  end
  leave(index, ARGV[i])
end
settle(index)
return ended
