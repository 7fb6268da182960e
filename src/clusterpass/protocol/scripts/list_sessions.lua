#!lua flags=no-writes
-- Read every field of a subject.
--
-- KEYS     1 sessions   2 details
-- Returns  {now in milliseconds, {session id, record, ...}, {session id, details, ...}}
--@include record

return {now_milliseconds(), redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}
