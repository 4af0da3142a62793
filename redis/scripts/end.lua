-- Ends sessions and removes them from the index of their user.
--
-- KEYS[1]  the index
-- KEYS[2…] records
-- ARGV[1]  the user who must own these sessions; '' skips the check
-- ARGV[2…] the names of the sessions in the index
--
-- Returns how many sessions it ended. If a key cannot be read, the script returns the last
-- such error instead: that session stays in the index, and the others have ended.

local index, user, ended, failed = KEYS[1], ARGV[1], 0, nil
for i = 2, #KEYS do
  local owner = user == '' and user or redis.pcall('HGET', KEYS[i], 'u')
  if type(owner) == 'table' then
    failed = owner
  else
    if owner == user then
      ended = ended + redis.call('UNLINK', KEYS[i])
    end
    unlist(index, ARGV[i])
  end
end
expireIndex(index)
return failed or ended
