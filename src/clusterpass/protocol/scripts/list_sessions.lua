#!lua flags=no-writes
-- Read every field of a subject.
--
-- KEYS     1 sessions
-- Returns  {now in milliseconds, {field, value, ...}}
--@include record

return {now_milliseconds(), redis.call('HGETALL', KEYS[1])}
