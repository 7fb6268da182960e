#!lua flags=no-writes
-- Read one session.
--
-- KEYS     1 sessions
-- ARGV     1 session id
-- Returns  {now in milliseconds, record or '', details or ''}
--@include record

local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then
    return {now_milliseconds(), '', ''}
end
if is_tombstone(value) then
    return {now_milliseconds(), value, ''}
end
return {now_milliseconds(), value, read_details(KEYS[1], ARGV[1], string.byte(value, 2))}
