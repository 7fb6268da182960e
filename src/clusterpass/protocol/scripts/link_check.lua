#!lua flags=no-writes
-- Tell whether a one-time link can be used; it stays as it is.
--
-- KEYS     1 user
-- ARGV     1 digest of the link's secret
-- Returns  status
-- Status   0  there is no such link, or it was used, or it has ended, or the user is disabled
--          1  it can be used

local found = redis.call('HMGET', KEYS[1], 'link', 'link_until', 'link_for', 'password', 'disabled')
if found[1] == ARGV[1] and tonumber(redis.call('TIME')[1]) < tonumber(found[2])
    and found[3] == found[4] and found[5] ~= '1' then
    return 1
end
return 0
