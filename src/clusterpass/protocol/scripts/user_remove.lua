#!lua flags=allow-oom
-- Remove a user from the directory, unless another one was added under the name since.
--
-- KEYS     1 user
-- ARGV     1 second in which the user was added
-- Returns  status
-- Status   0  there is no such user
--          1  the user is removed

if redis.call('HGET', KEYS[1], 'created_at') ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[1])
return 1
