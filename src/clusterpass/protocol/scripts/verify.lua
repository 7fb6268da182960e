#!lua flags=no-writes
-- Read one session.
--
-- KEYS     1 sessions   2 activity (may be missing while the slot migrates)
-- ARGV     1 session id
-- Returns  {now in milliseconds, record, details, elevation, live claims, bans, second of its last
--           use}; '' and 0: none
--@include record

local id = ARGV[1]
local now_ms = now_milliseconds()
local found = redis.call('HMGET', KEYS[1], id, details_field(id), elevation_field(id), 'c', 'b')
local record = found[1]
if record and not KEYS[2] and is_live(record)
    and needs_activity(parse_live(record), math.floor(now_ms / 1000)) then
    return redis.error_reply(ACTIVITY_UNKNOWN)
end
return {
    now_ms, record or '', found[2] or '', found[3] or '', found[4] or '', found[5] or '',
    record and KEYS[2] and seen_at(redis.call('HGET', KEYS[2], id)) or 0,
}
