#!lua flags=no-writes
-- Read everything that is stored about a subject (sessions and tombstones, history, live claims,
-- bans), and when each session was last used.
--
-- KEYS     1 sessions   2 activity (may be missing while the slot migrates)
-- ARGV     none
-- Returns  {now in milliseconds, {field, value, ...}, {session id, second of its last use, ...}}
--@include clock
--@include record

local now_ms = now_milliseconds()
local fields = redis.call('HGETALL', KEYS[1])
local activity = {}
if KEYS[2] then
    activity = redis.call('HGETALL', KEYS[2])
else
    for index = 1, #fields, 2 do
        local value = fields[index + 1]
        if #fields[index] == SESSION_ID_BYTES and is_live(value)
            and needs_activity(parse_live(value), math.floor(now_ms / 1000)) then
            return redis.error_reply(ACTIVITY_UNKNOWN)
        end
    end
end
return {now_ms, fields, activity}
