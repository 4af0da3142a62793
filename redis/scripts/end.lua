-- Ends sessions, and takes them out of the index of their user.
--
-- KEYS[1]  the index
-- KEYS[2…] records
-- ARGV[1]  the user whose sessions these have to be; '' where that does not matter
-- ARGV[2…] their names in the index
--
-- Returns how many have ended, or the last error of a key that cannot be read: it stays
-- listed, and the others have ended.

local index, user, ended, failed = KEYS[1], ARGV[1], 0, nil
for i = 2, #KEYS do
  local owner = user == '' and user or redis.pcall('HGET', KEYS[i], 'u')
  if type(owner) == 'table' then
    failed = owner
  else
    if owner == user then
      ended = ended + redis.call('UNLINK', KEYS[i])
    end
    leave(index, ARGV[i])
  end
end
settle(index)
return failed or ended
