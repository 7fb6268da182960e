#!lua
-- Add secrets to one copy of the secrets of the namespace. Existing values are kept unless ``when``
-- says otherwise. A retired secret is never replaced, and always replaces an active one: a process
-- that wraps a secret anew may have read it before it was retired.
--
-- KEYS     1 one copy
-- ARGV     1 when: '' where the name is new, 'first' where there is nothing of its kind but what was
--            retired, 'always'
--          2 channel in which the key is published, so that every process that watches the store
--            asks again ('': nobody is told; nor where the user may not publish)
--          3 name   4 value   5 name   6 value ...
--          The first two bytes of a name are its kind.
-- Returns  all names and values in turn

local when = ARGV[1]

local function is_retired(value)
    return value and string.find(value, '"retired"', 1, true)
end

local function has_kind(kind)
    local flat = redis.call('HGETALL', KEYS[1])
    for index = 1, #flat, 2 do
        if string.sub(flat[index], 1, 2) == kind and not is_retired(flat[index + 1]) then
            return true
        end
    end
    return false
end

for index = 3, #ARGV, 2 do
    local name, value = ARGV[index], ARGV[index + 1]
    local held = redis.call('HGET', KEYS[1], name)
    if not is_retired(held) and (when == 'always' or is_retired(value)
        or (when == 'first' and not has_kind(string.sub(name, 1, 2)))
        or (when == '' and not held)) then
        redis.call('HSET', KEYS[1], name, value)
    end
end
if ARGV[2] ~= '' then
    redis.pcall('PUBLISH', ARGV[2], KEYS[1])
end
return redis.call('HGETALL', KEYS[1])
