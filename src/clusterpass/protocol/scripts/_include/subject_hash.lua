-- The subject's hash in memory; a change goes to memory and to the store at once.
--
-- Needs    change_arguments
-- Gives    fields (name to value), activity (session id to the second of its last use);
--          put, drop
--@include change_arguments

local fields, activity = {}, {} -- load() of subject fills them

local function put(name, value)
    fields[name] = value
    redis.call('HSET', KEY, name, value)
end

local function drop(name)
    if fields[name] then
        fields[name] = nil
        redis.call('HDEL', KEY, name)
    end
end
