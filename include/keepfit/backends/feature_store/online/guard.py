"""The scripts that Redis runs: to compare and write rows in one step, to loosen, sweep and remove rows."""

GUARD = """
-- KEYS: the entities. ARGV: their packed rows, time to live, field of the event's time, field of the
-- creation's time or '', fields of the values. A row is packed as event time, creation time and values,
-- each after its length.
local packed, ttl, event_field, created_field = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local features = #ARGV - 4
local loose_field = '_loose' .. string.sub(event_field, 4)
local layout = '<' .. string.rep('I4c0', features + 2)

-- Reads a protobuf Timestamp. Below zero a number is its complement in ten bytes, too large for Lua's own.
local function moment(text)
  local found, place = {[1] = 0, [2] = 0}, 1
  while place <= #text do
    local field = math.floor(string.byte(text, place) / 8)
    local number, complement, scale, length = 0, 0, 1, 0
    repeat
      place = place + 1
      length = length + 1
      local byte = string.byte(text, place)
      local bits = byte % 128
      if length < 10 then
        number = number + bits * scale
        complement = complement + (127 - bits) * scale
        scale = scale * 128
      end
    until byte < 128
    if length == 10 then number = -complement - 1 end
    found[field] = number
    place = place + 1
  end
  return found[1], found[2]
end

local function gives_way(stored, new)
  if not stored[1] or stored[1] == new[1] then
    if not stored[1] or created_field == '' then return true end
    return (tonumber(new[2]) or -math.huge) >= (tonumber(stored[2] or '') or -math.huge)
  end
  local stored_seconds, stored_nanos = moment(stored[1])
  local seconds, nanos = moment(new[1])
  if seconds ~= stored_seconds then return seconds > stored_seconds end
  return nanos > stored_nanos
end

local place, written = 1, 0
for _, key in ipairs(KEYS) do
  local row = {struct.unpack(layout, packed, place)}
  place = row[#row]
  local second = created_field == '' and event_field or created_field
  local stored = redis.call('HMGET', key, event_field, second, loose_field)
  if stored[3] or gives_way(stored, row) then
    local command = {'HSET', key, event_field, row[1]}
    if created_field ~= '' then
      command[5], command[6] = created_field, row[2]
    end
    for feature = 1, features do
      command[#command + 1] = ARGV[feature + 4]
      command[#command + 1] = row[feature + 2]
    end
    redis.call(unpack(command))
    if stored[3] then redis.call('HDEL', key, loose_field) end
    if ttl > 0 then redis.call('EXPIRE', key, ttl) end
    written = written + 1
  end
end
return written
"""

LOOSEN = """
-- KEYS: entities. ARGV: field of the event's time, field that marks what gives way to any other row.
for _, key in ipairs(KEYS) do
  if redis.call('HEXISTS', key, ARGV[1]) == 1 then redis.call('HSET', key, ARGV[2], 1) end
end
"""

SWEEP = """
-- KEYS: entities. ARGV: the mark, then the other fields of the view.
for _, key in ipairs(KEYS) do
  if redis.call('HEXISTS', key, ARGV[1]) == 1 then redis.call('HDEL', key, unpack(ARGV)) end
end
"""

REMOVE = """
-- KEYS: entities. ARGV: all fields of the view. What is left of an entity without any view's event time are
-- values of features that views had once.
for _, key in ipairs(KEYS) do
  redis.call('HDEL', key, unpack(ARGV))
  local others = false
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 4) == '_ts:' then others = true end
  end
  if not others then redis.call('DEL', key) end
end
"""
