#!lua
-- Add a user to the directory.
--
-- KEYS     1 user
-- ARGV     1 password hash   2 id of this operation
-- Returns  'OK', or 'EXISTS' when another operation made the user
--
-- A repeated call (same operation) answers OK.

local made_by = redis.call('HGET', KEYS[1], 'operation')
if made_by and made_by ~= ARGV[2] then
    return 'EXISTS'
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'password', ARGV[1], 'disabled', '0', 'created_at', time[1],
    'operation', ARGV[2])
return 'OK'
