#!lua flags=no-writes,allow-cross-slot-keys
-- Read who is online in the slots of a list, up to the first slot that this node does not own.
--
-- KEYS     1 online index of the first slot
-- ARGV     1 name of an index before its tag   2 name after its tag   3 tags, four bytes each
--          4 cursor in the first slot ('0': from its beginning)   5 most subjects, about
--          6 milliseconds at which the call was made 6 (0: not told) |
--            whether most primaries agree with that time 1
-- Returns  {slots done, cursor in the slot after them, subject, ...}
--@include clock
--@include online_scores

local called_ms, is_agreed = struct.unpack('>I6B', ARGV[6])
local now_ms, _, server_ms = judged_milliseconds(called_ms, is_agreed)
if not now_ms then
    return clocks_differ(server_ms - called_ms)
end
local now = math.floor(now_ms / 1000)
local cursor, most = ARGV[4], tonumber(ARGV[5])
local slots, found = 0, {}
for position = 1, #ARGV[3], 4 do
    local name = position == 1 and KEYS[1]
        or ARGV[1] .. string.sub(ARGV[3], position, position + 3) .. ARGV[2]
    repeat
        local scanned = redis.pcall('ZSCAN', name, cursor, 'COUNT', most)
        if scanned.err then
            if slots == 0 then
                return redis.error_reply(scanned.err)
            end
            return {slots, cursor, unpack(found)}
        end
        cursor = scanned[1]
        for index = 1, #scanned[2], 2 do
            local ends_at = math.floor(tonumber(scanned[2][index + 1]) / PER_SUBJECT)
            if scanned[2][index] ~= '' and ends_at > now then
                found[#found + 1] = scanned[2][index]
            end
        end
    until cursor == '0' or #found >= most
    if cursor == '0' then
        slots = slots + 1
    end
    if #found >= most then
        break
    end
end
return {slots, cursor, unpack(found)}
