#!lua flags=allow-oom
-- Change one field of a user, if the user is there and the field still holds the expected value.
-- The one-time link of a user who is disabled ends.
--
-- KEYS     1 user
-- ARGV     1 field   2 new value   3 expected value ('': any)
-- Returns  status
-- Status   OK       the field holds the new value
--          UNKNOWN  there is no such user
--          CHANGED  the field holds another value than the expected one; nothing was changed

local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then
    return 'UNKNOWN'
end
if ARGV[3] ~= '' and value ~= ARGV[3] and value ~= ARGV[2] then
    return 'CHANGED'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[1] == 'disabled' and ARGV[2] == '1' then
    redis.call('HDEL', KEYS[1], 'link', 'link_until', 'link_for')
end
return 'OK'
