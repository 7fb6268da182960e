#!lua
-- Forget the attempts of a counter, after one that succeeded.
--
-- KEYS     1 counter
-- Returns  0

redis.call('DEL', KEYS[1])
return 0
