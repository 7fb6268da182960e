#!lua
-- Open a session of a subject; when there would be too many, the oldest are replaced.
--
-- KEYS     1 sessions
-- ARGV     1 session id   2 refresh digest   3 absolute seconds   4 idle seconds (0: none)
--          5 device (short, may be empty)   6 details as JSON (may be empty)
--          7 most sessions   8 seconds that a tombstone is kept
-- Returns  {'OK', now in milliseconds, record, number of replaced sessions}
--
-- A repeated call (same id) changes nothing and answers what has become of the session: one that
-- arrives late must neither undo a rotation nor bring an ended session back.
--@include record

local now_ms = now_milliseconds()
local now = math.floor(now_ms / 1000)
local session_id, digest = ARGV[1], ARGV[2]

local known = redis.call('HGET', KEYS[1], session_id)
if known then
    redis.call('HSET', KEYS[1], session_id, known) -- a write for WAIT to wait for
    return {'OK', now_ms, known, 0}
end

local live = tidy(KEYS[1], now)
local surplus = #live + 1 - tonumber(ARGV[7])
for index = 1, surplus do
    bury(KEYS[1], live[index].id, REPLACED, now, tonumber(ARGV[8]))
end

-- Logins of one millisecond keep their order.
local created = now_ms
if #live > 0 and live[#live].created >= created then
    created = live[#live].created + 1
end
local value = pack_live({
    flags = ARGV[6] == '' and 0 or 1, created = created, absolute_end = now + tonumber(ARGV[3]),
    refreshed = now, idle = tonumber(ARGV[4]), rotation = 0, digest = digest, device = ARGV[5],
})
if ARGV[6] == '' then
    redis.call('HSET', KEYS[1], session_id, value)
else
    redis.call('HSET', KEYS[1], session_id, value, details_field(session_id), ARGV[6])
end
tidy(KEYS[1], now)
return {'OK', now_ms, value, math.max(surplus, 0)}
