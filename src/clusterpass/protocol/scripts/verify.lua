#!lua flags=no-writes
-- Read one session.
--
-- KEYS     1 sessions   2 details
-- ARGV     1 session id
-- Returns  {now in milliseconds, record or '', details or ''}
--@include record

local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then
    return {now_milliseconds(), '', ''}
end
local details = ''
if not is_tombstone(value) and string.byte(value, 2) % 2 == 1 then
    details = redis.call('HGET', KEYS[2], ARGV[1]) or ''
end
return {now_milliseconds(), value, details}
