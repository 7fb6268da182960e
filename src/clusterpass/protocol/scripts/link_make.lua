#!lua
-- Make a one-time link for setting a new password, which replaces an older link of the user.
--
-- KEYS     1 user
-- ARGV     1 digest of the link's secret   2 seconds for which it may be used
-- Returns  {status, second until which it may be used}
-- Status   OK       the link is there
--          UNKNOWN  there is no such user
--
-- The link belongs to the password that the user has now, and ends with it.

local password = redis.call('HGET', KEYS[1], 'password')
if not password then
    return {'UNKNOWN', 0}
end
local ends_at = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'link', ARGV[1], 'link_until', ends_at, 'link_for', password)
return {'OK', ends_at}
