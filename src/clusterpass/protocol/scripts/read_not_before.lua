#!lua flags=no-writes
-- Read the time before which every session of the namespace has ended.
--
-- KEYS     1 one copy of the time
-- ARGV     none
-- Returns  milliseconds since the epoch; 0: there is none

return tonumber(redis.call('GET', KEYS[1]) or '0')
