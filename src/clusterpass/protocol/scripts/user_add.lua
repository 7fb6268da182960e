#!lua
-- Add a user to the directory.
--
-- KEYS     1 user
-- ARGV     1 password hash   2 id of this operation
-- Returns  status
-- Status   OK      the user was added, by this call or by an earlier one of the same operation
--          EXISTS  another operation added the user

local made_by = redis.call('HGET', KEYS[1], 'operation')
if made_by == ARGV[2] then
    -- What has happened to the user since stays. A write for WAIT to wait for.
    redis.call('HSET', KEYS[1], 'operation', ARGV[2])
    return 'OK'
end
if made_by then
    return 'EXISTS'
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'password', ARGV[1], 'disabled', '0', 'created_at', time[1],
    'operation', ARGV[2])
return 'OK'
