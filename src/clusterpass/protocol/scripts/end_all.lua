#!lua
-- End every session of a subject, or every one but one, and leave tombstones.
--
-- KEYS     1 sessions
-- ARGV     1 session id to keep (may be empty)   2 reason (1 logged out, 2 replaced, 3 revoked)
--          3 seconds that a tombstone is kept
-- Returns  the number of live sessions that were ended
--@include record

local now = math.floor(now_milliseconds() / 1000)
local live = tidy(KEYS[1], now)
local count = 0
for _, session in ipairs(live) do
    if session.id ~= ARGV[1] then
        bury(KEYS[1], session.id, tonumber(ARGV[2]), now, tonumber(ARGV[3]))
        count = count + 1
    end
end
if count > 0 then
    tidy(KEYS[1], now)
    return count
end
-- A repeated call finds nothing to end: write one field again, for WAIT to wait for.
local fields = redis.call('HGETALL', KEYS[1])
if #fields > 0 then
    redis.call('HSET', KEYS[1], fields[1], fields[2])
end
return 0
