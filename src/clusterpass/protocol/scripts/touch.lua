#!lua
-- Note that a session is in use, outside the key that holds the session: a cache that watches that
-- key is not invalidated.
--
-- KEYS     1 sessions   2 activity (may be missing while the slot migrates: nothing is noted)
-- ARGV     1 session id   2 seconds by which a key outlives its session
--          3 milliseconds at which the call was made 6 (0: not told) |
--            whether most primaries agree with that time 1
-- Returns  status
-- Status   0  nothing was noted
--          1  the use was noted
--@include clock
--@include record

local called_ms, is_agreed = struct.unpack('>I6B', ARGV[3])
local now_ms, _, server_ms = judged_milliseconds(called_ms, is_agreed)
if not now_ms then
    return clocks_differ(server_ms - called_ms)
end
local now, server_now = math.floor(now_ms / 1000), math.floor(server_ms / 1000)
local id = ARGV[1]
local value = redis.call('HGET', KEYS[1], id)
if not KEYS[2] or not value or not is_live(value) then
    return 0
end
local record = parse_live(value)
record.active = math.max(record.refreshed, seen_at(redis.call('HGET', KEYS[2], id)))
if live_ends_at(record) <= now then
    return 0
end
record.active = math.max(now, record.active)
redis.call('HSET', KEYS[2], id, struct.pack('>I4', record.active))
local keep_until = on_server_clock(live_ends_at(record) + tonumber(ARGV[2]), now, server_ms)
-- Neither key may expire before the session ends.
if redis.call('TTL', KEYS[2]) < keep_until - server_now then
    redis.call('EXPIREAT', KEYS[2], keep_until)
end
local left = redis.call('TTL', KEYS[1])
if left >= 0 and left < keep_until - server_now then
    redis.call('EXPIREAT', KEYS[1], keep_until)
end
return 1
