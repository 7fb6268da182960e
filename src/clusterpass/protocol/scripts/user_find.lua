#!lua flags=no-writes
-- Read a user.
--
-- KEYS     1 user
-- ARGV     none
-- Returns  {password hash or '', disabled '0' or '1', created at in seconds}

local fields = redis.call('HMGET', KEYS[1], 'password', 'disabled', 'created_at')
return {fields[1] or '', fields[2] or '0', tonumber(fields[3] or '0')}
