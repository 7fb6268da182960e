#!lua
-- Change one field of a user, if the user is there and the field still holds what is expected.
--
-- KEYS     1 user
-- ARGV     1 field   2 new value   3 expected value ('' : whatever it is)
-- Returns  'OK', 'UNKNOWN' (no such user) or 'CHANGED' (the expectation fails)

local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then
    return 'UNKNOWN'
end
if ARGV[3] ~= '' and value ~= ARGV[3] and value ~= ARGV[2] then
    return 'CHANGED'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'OK'
