#!lua flags=no-writes
-- Tell whether the server has been a primary since it started.
--
-- KEYS     1 any key of the shard
-- ARGV     1 seconds for which it must have run
-- Returns  status
-- Status   0  it was promoted, or started later than that, or it cannot be told
--          1  it was never promoted, and started earlier
--
-- A promotion keeps the replication id of the former primary as the second one, for good.

local ran = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
local replication = redis.call('INFO', 'replication')
local is_primary = string.match(replication, 'role:master')
local second = string.match(replication, 'master_replid2:(%w+)')
if is_primary and second and not string.match(second, '[^0]') and ran >= tonumber(ARGV[1]) then
    return 1
end
return 0
