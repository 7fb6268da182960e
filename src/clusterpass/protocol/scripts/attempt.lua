#!lua
-- Count an attempt in a window that begins with the first one, and tell whether it may go on.
--
-- KEYS     1 counter
-- ARGV     1 most attempts in a window   2 length of the window in seconds
-- Returns  status, or the seconds until the window ends when there were too many attempts
-- Status   0  the attempt may go on

local count = redis.call('INCR', KEYS[1])
local rest = redis.call('TTL', KEYS[1])
if rest < 0 then
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    rest = tonumber(ARGV[2])
end
if count <= tonumber(ARGV[1]) then
    return 0
end
return math.max(rest, 1)
