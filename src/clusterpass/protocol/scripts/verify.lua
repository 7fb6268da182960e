#!lua flags=no-writes
-- Read one session. Verifying is by far the most frequent call, so this script includes nothing and
-- unpacks a record only where it must.
--
-- KEYS     1 sessions   2 activity (may be missing while the slot migrates)
-- ARGV     1 session id
-- Returns  {now in milliseconds, record, details, elevation, live claims, bans, second of its last
--           use plus 2^32 times what was used (see use), generation}; '' and 0: none

local id = ARGV[1]
local time = redis.call('TIME')
local found = redis.call('HMGET', KEYS[1], id, id .. 'd', id .. 'e', 'c', 'b', 'g')
local record, seen = found[1], 0
if record and KEYS[2] then
    local noted = redis.call('HGET', KEYS[2], id)
    if noted then
        seen = struct.unpack('>I4', noted) + (string.byte(noted, 5) or 0) * 4294967296
    end
elseif record and string.byte(record, 1) <= 2 then
    -- The record alone may say that the session was idle for too long, while its activity is on the
    -- other node of a migration: the client then retries.
    local absolute_end, refreshed, idle = struct.unpack('>I4I4I4', record, 9)
    local now = tonumber(time[1])
    if idle > 0 and refreshed + idle <= now and absolute_end > now then
        return redis.error_reply(
            'TRYAGAIN the activity of a session cannot be read while its slot migrates')
    end
end
return {
    tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), record or '', found[2] or '',
    found[3] or '', found[4] or '', found[5] or '', seen,
    found[6] or '',
}
