#!lua
-- Give back one counted attempt, which succeeded. All others in the window stay counted.
--
-- KEYS     1 counter
-- ARGV     none
-- Returns  status
-- Status   0  the counter is one lower, or none is left

local count = tonumber(redis.call('GET', KEYS[1]) or '0')
local rest = redis.call('TTL', KEYS[1])
if count > 1 and rest > 0 then
    redis.call('SET', KEYS[1], count - 1, 'KEEPTTL')
else
    redis.call('DEL', KEYS[1])
end
return 0
