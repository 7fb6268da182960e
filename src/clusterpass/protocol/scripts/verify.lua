#!lua flags=no-writes
-- Read one session.
--
-- KEYS     1 sessions
-- ARGV     1 session id
-- Returns  {now in milliseconds, record, details, elevation, live claims, bans}; '' : none
--@include record

local id = ARGV[1]
local found = redis.call('HMGET', KEYS[1], id, details_field(id), elevation_field(id), 'c', 'b')
return {
    now_milliseconds(), found[1] or '', found[2] or '', found[3] or '', found[4] or '',
    found[5] or '',
}
