#!lua
-- Add to the counters of the tokens of another issuer.
--
-- KEYS     1 counters of all issuers
-- ARGV     1 name of the issuer   2 accepted   3 exchanged   4 refused
--          5 second in which a token was last seen (0: none)
--          6 latest second in which a token that was seen was issued (0: none)
--          7 seconds for which the longest-lived token is valid
-- Returns  second in which counting began for this issuer
--@include clock

local function field(name)
    return ARGV[1] .. ':' .. name
end

for index, name in ipairs({'accepted', 'exchanged', 'refused'}) do
    redis.call('HINCRBY', KEYS[1], field(name), ARGV[1 + index])
end
for index, name in ipairs({'last_seen_at', 'last_issued_at', 'lifetime'}) do
    local known = tonumber(redis.call('HGET', KEYS[1], field(name)) or '0')
    redis.call('HSET', KEYS[1], field(name), math.max(known, tonumber(ARGV[4 + index])))
end
redis.call('HSETNX', KEYS[1], field('began_at'), math.floor(now_milliseconds() / 1000))
return tonumber(redis.call('HGET', KEYS[1], field('began_at')))
