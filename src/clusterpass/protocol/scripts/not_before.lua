#!lua flags=allow-oom
-- End every session of the namespace that was opened before a time. The time is never lowered.
--
-- KEYS     1 one copy of the time
-- ARGV     1 milliseconds since the epoch ('': now)
--          2 by how many milliseconds the time may lie ahead of this server's clock
--          3 milliseconds at which the call was made 6 (0: not told) |
--            whether most primaries agree with that time 1
-- Returns  the time in force, in milliseconds since the epoch
--@include clock

local known = tonumber(redis.call('GET', KEYS[1]) or '0')
local called_ms, is_agreed = struct.unpack('>I6B', ARGV[3])
local now, _, server_ms = judged_milliseconds(called_ms, is_agreed)
if not now then
    return clocks_differ(server_ms - called_ms)
end
-- A login within this very millisecond counts as earlier.
local latest = now + tonumber(ARGV[2])
local wanted = tonumber(ARGV[1])
if not wanted or wanted > latest then
    wanted = math.max(latest, known) + 1
end
local value = math.max(known, wanted)
redis.call('SET', KEYS[1], string.format('%.0f', value))
return value
