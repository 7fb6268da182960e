#!lua
-- Reset the counter of attempts after an attempt that succeeded.
--
-- KEYS     1 counter
-- ARGV     none
-- Returns  status
-- Status   0  the counter is gone

redis.call('DEL', KEYS[1])
return 0
