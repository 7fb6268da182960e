#!lua flags=no-writes
-- Read a journal: the events after a position, or all entries.
--
-- KEYS     1 journal
-- ARGV     1 position: the latest event that is known ('': none; all entries are read)
--          2 cursor among all entries ('0': from the first)   3 most entries, about, of those
-- Returns  {head, mark, mark of a filled journal, milliseconds that evidence may be old, next cursor,
--           {id, entry ('': it was trimmed), ...}}; next cursor '': all was read
--
-- A position that is too old, or ahead of the head, is answered with the cursor '0': read all.
--@include journal

local found = redis.call('HMGET', JOURNAL, 'h', 'm', 'l')
local head, most = tonumber(found[1] or '0'), tonumber(ARGV[3])
local position, cursor = tonumber(ARGV[1]), ''
local entries = {}

local function answer()
    return {head, found[2] or '', own_mark(), tonumber(found[3] or '0'), cursor, entries}
end

if not position then
    local scanned = redis.call('HSCAN', JOURNAL, ARGV[2], 'COUNT', most)
    cursor = scanned[1] == '0' and '' or scanned[1]
    for index = 1, #scanned[2], 2 do
        local name = scanned[2][index]
        if string.sub(name, 1, 1) == 'e' and #name > 1 then
            entries[#entries + 1] = string.sub(name, 2)
            entries[#entries + 1] = scanned[2][index + 1]
        end
    end
    return answer()
end
if position > head or head - position > KEPT_EVENTS then
    cursor = '0'
    return answer()
end
for number = position + 1, head do
    local id = redis.call('HGET', JOURNAL, event_field(number))
    if not id then
        cursor, entries = '0', {}
        return answer()
    end
    entries[#entries + 1] = id
    entries[#entries + 1] = redis.call('HGET', JOURNAL, entry_field(id)) or ''
end
return answer()
