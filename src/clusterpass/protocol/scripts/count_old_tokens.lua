#!lua
-- Add to what is counted of the tokens of another issuer, and tell what was counted so far.
--
-- KEYS     1 counters
-- ARGV     1 accepted   2 exchanged   3 refused   4 second in which one was last seen (0: none)
--          5 latest second in which one that was seen was issued (0: none)
-- Returns  {accepted, exchanged, refused, second of the last one seen, second of the latest issue,
--           second in which counting began}
--@include clock

local counters = {'accepted', 'exchanged', 'refused'}
local answer = {}
for index, name in ipairs(counters) do
    answer[index] = redis.call('HINCRBY', KEYS[1], name, ARGV[index])
end
for index, name in ipairs({'last_seen_at', 'last_issued_at'}) do
    local known = tonumber(redis.call('HGET', KEYS[1], name) or '0')
    answer[3 + index] = math.max(known, tonumber(ARGV[3 + index]))
    redis.call('HSET', KEYS[1], name, answer[3 + index])
end
redis.call('HSETNX', KEYS[1], 'began_at', math.floor(now_milliseconds() / 1000))
answer[6] = tonumber(redis.call('HGET', KEYS[1], 'began_at'))
return answer
