-- Takes notes of logins out of the index of their user, of those that were refused
-- or whose sessions have ended, unless another login of the session was noted since.
--
-- KEYS[1]  the index, see index.lua
-- ARGV     ids, each with its entry, or the 16 digits that it begins with
--
-- Returns 1.

for i = 1, #ARGV, 2 do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry and string.sub(entry, 1, 16) == string.sub(ARGV[i + 1], 1, 16) then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return 1
