#!lua flags=no-writes
-- Read one copy of the secrets of the namespace.
--
-- KEYS     1 one copy
-- ARGV     none
-- Returns  names and values in turn

return redis.call('HGETALL', KEYS[1])
