#!lua flags=no-writes
-- Read the time before which every session has ended.
--
-- KEYS     1 one copy of the time
-- Returns  milliseconds since the epoch; 0: there is none

return tonumber(redis.call('GET', KEYS[1]) or '0')
