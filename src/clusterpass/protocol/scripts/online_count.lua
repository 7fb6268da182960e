#!lua flags=no-writes,allow-cross-slot-keys
-- Count who is online in the slots of a list, up to the first slot that this node does not own.
--
-- KEYS     1 online index of the first slot
-- ARGV     1 name of an index before its tag   2 name after its tag   3 tags, four bytes each
--          4 milliseconds at which the call was made 6 (0: not told) |
--            whether most primaries agree with that time 1
-- Returns  {slots counted, subjects, sessions}
--@include clock
--@include online_scores

local called_ms, is_agreed = struct.unpack('>I6B', ARGV[4])
local now_ms, _, server_ms = judged_milliseconds(called_ms, is_agreed)
if not now_ms then
    return clocks_differ(server_ms - called_ms)
end
local now = math.floor(now_ms / 1000)
local bound = string.format('%.0f', (now + 1) * PER_SUBJECT)
local first = string.format('%.0f', FIRST_SCORE)
local slots, subjects, sessions = 0, 0, 0
for position = 1, #ARGV[3], 4 do
    local name = position == 1 and KEYS[1]
        or ARGV[1] .. string.sub(ARGV[3], position, position + 3) .. ARGV[2]
    local total = redis.pcall('ZSCORE', name, '')
    if type(total) == 'table' and total.err then
        if slots == 0 then
            return redis.error_reply(total.err)
        end
        break
    end
    slots = slots + 1
    if total then
        local live = redis.call('ZCOUNT', name, bound, '+inf')
        local most = tonumber(total)
        -- Ended and not yet taken out; a bounded look.
        local ended = redis.call('ZRANGEBYSCORE', name, first, '(' .. bound, 'WITHSCORES',
            'LIMIT', 0, 100)
        for index = 2, #ended, 2 do
            most = most - tonumber(ended[index]) % PER_SUBJECT
        end
        subjects = subjects + live
        sessions = sessions + (live > 0 and math.max(most, live) or 0)
    end
end
return {slots, subjects, sessions}
