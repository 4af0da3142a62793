-- Functions that the scripts which write values share.
--
-- Field s of a record holds the number of values and their size: the bytes of their keys and
-- of their encodings. If a record has no field s, the next write counts the values.

local function parseCount(s)
  local count, size = string.match(s or '', '^(%d+) (%d+)$')
  return tonumber(count), tonumber(size)
end

-- countValues counts the values of a session and their size.
local function countValues(key)
  local count, size = 0, 0
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 1) == ':' then
      count, size = count + 1, size + #field - 1 + redis.call('HSTRLEN', key, field)
    end
  end
  return count, size
end

-- readFields returns the fields n and s of a record, then the fields that ARGV names. From index
-- first on, ARGV alternates fields and new values.
local function readFields(key, first)
  local names = {}
  for i = first, #ARGV, 2 do
    names[#names + 1] = ARGV[i]
  end
  return redis.call('HMGET', key, 'n', 's', unpack(names))
end

-- addValues returns field s after the new values of ARGV have replaced those in r, the result of
-- readFields. It also returns -6 for too many values, or -11 if they are too large. A session that
-- already was too large may keep its size.
local function addValues(key, s, r, first, most, limit)
  local count, size = parseCount(s)
  if not count then
    count, size = countValues(key)
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
    return addValues(key, nil, r, first, most, limit) -- count the values before refusing
  end
  return count .. ' ' .. size, refused
end

-- removeValues deletes fields. old holds their values and s is field s, both as before the removal.
local function removeValues(key, s, fields, old)
  local count, size = parseCount(s)
  redis.call('HDEL', key, unpack(fields)) -- needs no memory; after a first write, Redis lets the script write more even if memory is full
  if count then
    for i, field in ipairs(fields) do
      if old[i] then
        count, size = count - 1, size - (#field - 1 + #old[i])
      end
    end
    redis.call('HSET', key, 's', count .. ' ' .. size)
  end
end
