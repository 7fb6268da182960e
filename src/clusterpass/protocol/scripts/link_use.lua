#!lua flags=allow-oom
-- Set a new password by a one-time link, and end the link.
--
-- KEYS     1 user
-- ARGV     1 digest of the link's secret   2 new password hash
-- Returns  status
-- Status   0  there is no such link, or it was used, or it has ended, or the user is disabled; nothing
--             was changed
--          1  the password was set, by this call or by an earlier one with the same hash

local found = redis.call('HMGET', KEYS[1], 'link', 'link_until', 'link_for', 'password', 'link_used',
    'disabled')
if found[5] == ARGV[1] and found[4] == ARGV[2] then
    redis.call('HSET', KEYS[1], 'link_used', ARGV[1]) -- a write for WAIT to wait for
    return 1
end
if found[1] ~= ARGV[1] or tonumber(redis.call('TIME')[1]) >= tonumber(found[2])
    or found[3] ~= found[4] or found[6] == '1' then
    return 0
end
redis.call('HSET', KEYS[1], 'password', ARGV[2], 'link_used', ARGV[1])
redis.call('HDEL', KEYS[1], 'link', 'link_until', 'link_for')
return 1
