#!lua
-- Note that a session is in use. The note lies outside the key that holds the session, so that
-- caches that watch that key are not invalidated.
--
-- KEYS     1 sessions   2 activity (may be missing while the slot migrates: nothing is noted)
-- ARGV     1 session id   2 seconds by which a key outlives its session
--          3 milliseconds at which the call was made 6 (0: not told) |
--            whether most primaries agree with that time 1
--          4 rotation of the access token (0: only the use of the session is noted; -1: as 0, and
--            what was noted as used is forgotten, in a form that the previous release reads)
-- Returns  0: nothing was noted; otherwise 1 plus what is noted as used (see use)
--@include clock
--@include record
--@include used_tokens

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
local noted = redis.call('HGET', KEYS[2], id)
record.active = math.max(record.refreshed, seen_at(noted))
if live_ends_at(record) <= now then
    return 0
end

-- Whose token it is, and the line's own rotation (see elevation for the layout).
local rotation = tonumber(ARGV[4])
local function line_of_token()
    local elevation = redis.call('HGET', KEYS[1], elevation_field(id))
    if elevation and string.byte(elevation, 9) == 0 then
        local flags, _, first, older = struct.unpack('>Bc8I4I4', elevation, 10)
        if flags % 2 == 1 and rotation < first then
            return OLDER_USED, older
        end
    end
    return OWN_USED, record.rotation
end

local used = rotation < 0 and 0 or used_in(noted)
if rotation > 0 then
    local which, latest = line_of_token()
    if rotation == latest and not has_used(used, which) then
        used = used + which
    end
end
record.active = math.max(now, record.active)
redis.call('HSET', KEYS[2], id, pack_use(record.active, used))
local keep_until = on_server_clock(live_ends_at(record) + tonumber(ARGV[2]), now, server_ms)
-- Neither key may expire before the session ends.
if redis.call('TTL', KEYS[2]) < keep_until - server_now then
    redis.call('EXPIREAT', KEYS[2], keep_until)
end
local left = redis.call('TTL', KEYS[1])
if left >= 0 and left < keep_until - server_now then
    redis.call('EXPIREAT', KEYS[1], keep_until)
end
return 1 + used
