#!lua
-- Take the lease under which only one process makes the next signing key.
--
-- KEYS     1 the lease
-- ARGV     1 who takes it   2 seconds
-- Returns  status
-- Status   0  somebody else has it
--          1  the caller has it

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
