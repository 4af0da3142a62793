-- What the scripts share that write values.
--
-- Field s of a record holds how many values the session has, and their size: the bytes
-- of their keys and of what is stored under them. A record without it is counted at the
-- next write.

local function known(s)
  local count, size = string.match(s or '', '^(%d+) (%d+)$')
  return tonumber(count), tonumber(size)
end

-- Counts the values of a session, and their size.
local function tally(key)
  local count, size = 0, 0
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 1) == ':' then
      count, size = count + 1, size + #field - 1 + redis.call('HSTRLEN', key, field)
    end
  end
  return count, size
end

-- Returns the fields n and s of a record, and those that ARGV names from the first on,
-- each before its new value.
local function look(key, first)
  local names = {}
  for i = first, #ARGV, 2 do
    names[#names + 1] = ARGV[i]
  end
  return redis.call('HMGET', key, 'n', 's', unpack(names))
end

-- Returns field s as it is with the new values of ARGV, in place of those in r, which
-- look has found. If the session would hold too many or too much, it returns a refusal
-- as well: -6 or -11. A session that was too large before may stay so.
local function add(key, s, r, first, most, limit)
  local count, size = known(s)
  if not count then
    count, size = tally(key)
  end
  local before = size
  for i = first, #ARGV, 2 do
    local old = r[(i - first) / 2 + 3]
    if old then
      size = size - #old
    else
      count, size = count + 1, size + #ARGV[i] - 1
    end
    size = size + #ARGV[i + 1]
  end
  local refused = count > tonumber(most) and -6 or size > math.max(tonumber(limit), before) and -11
  if refused and s then
    return add(key, nil, r, first, most, limit) -- not before it was counted
  end
  return count .. ' ' .. size, refused
end

-- Takes values out: fields, and what is in them. s is field s before that.
local function remove(key, s, fields, old)
  local count, size = known(s)
  redis.call('HDEL', key, unpack(fields)) -- needs no memory: from here on Redis refuses none for lack of it
  if count then
    for i, field in ipairs(fields) do
      if old[i] then
        count, size = count - 1, size - (#field - 1 + #old[i])
      end
    end
    redis.call('HSET', key, 's', count .. ' ' .. size)
  end
end
