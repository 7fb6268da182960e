#!lua
-- Count an attempt in a window that begins with its first attempt, unless the window is full.
--
-- KEYS     1 counter
-- ARGV     1 most attempts in a window   2 length of the window in seconds
-- Returns  status, or the seconds until the window ends when there were too many attempts
-- Status   0  the attempt may go on

local count = tonumber(redis.call('GET', KEYS[1]) or '0')
local rest = redis.call('TTL', KEYS[1])
-- A refused attempt is not counted, so that each one that was can be given back.
local is_admitted = count < tonumber(ARGV[1])
if is_admitted then
    redis.call('INCR', KEYS[1])
end
if rest < 0 then
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    rest = tonumber(ARGV[2])
end
if is_admitted then
    return 0
end
return math.max(rest, 1)
