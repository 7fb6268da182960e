#!lua
-- End one session of a subject and leave a tombstone.
--
-- KEYS     1 sessions
-- ARGV     1 session id   2 reason (1 logged out, 2 replaced, 3 revoked)
--          3 seconds that the tombstone is kept
-- Returns  'ENDED'    it was live
--          'ALREADY'  it was ended or had expired
--          'UNKNOWN'  there is no such session
--@include record

local now = math.floor(now_milliseconds() / 1000)
local session_id = ARGV[1]
local value = redis.call('HGET', KEYS[1], session_id)
if not value then
    return 'UNKNOWN'
end
if is_tombstone(value) then
    redis.call('HSET', KEYS[1], session_id, value) -- a write for WAIT to wait for
    return 'ALREADY'
end
local was_live = live_ends_at(parse_live(value)) > now
bury(KEYS[1], session_id, tonumber(ARGV[2]), now, tonumber(ARGV[3]))
tidy(KEYS[1], now, session_id)
return was_live and 'ENDED' or 'ALREADY'
