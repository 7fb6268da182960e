#!lua
-- Remove expired entries from one copy of the secrets of the namespace, at most once a day. An
-- entry stays if it has changed since the caller read it, or if it has not expired by the clock of
-- this server: the caller's clock may be ahead.
--
-- KEYS     1 one copy
-- ARGV     1 the name under which the copy keeps when it was pruned last
--          2 name   3 value as it was read   4 second from which on it may go   5 name ...
-- Returns  the names that were removed

local now = tonumber(redis.call('TIME')[1])
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if math.abs(now - last) < 86400 then
    return {}
end
local removed = {}
for index = 2, #ARGV, 3 do
    local name = ARGV[index]
    if now >= tonumber(ARGV[index + 2]) and redis.call('HGET', KEYS[1], name) == ARGV[index + 1]
    then
        redis.call('HDEL', KEYS[1], name)
        removed[#removed + 1] = name
    end
end
if #removed > 0 then
    redis.call('HSET', KEYS[1], ARGV[1], now)
end
return removed
