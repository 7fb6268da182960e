-- The stored results of operations, for calls that repeat an operation (see repeats).
--
-- Needs    change_arguments, subject_hash, subject_summary
-- Gives    operation_field, settle_operations
--@include change_arguments
--@include subject_hash
--@include subject_summary

-- Part 0 of an operation is its result; the parts from 1 on hold the ids of the sessions it ended.
local function operation_field(id, part)
    return 'o' .. id .. string.char(part)
end

local function drop_operation(id)
    local part = 0
    while fields[operation_field(id, part)] do
        drop(operation_field(id, part))
        part = part + 1
    end
end

-- Drop the operations whose time is over, and the oldest beyond MOST_OPERATIONS; one that a journal
-- may repeat, which is noted ahead of now, does not count. Returns the second until which the last
-- operation is kept; 0: none is left.
local function settle_operations()
    local known, latest = {}, 0
    for name, value in pairs(fields) do
        if #name == 10 and string.sub(name, 1, 1) == 'o' and string.byte(name, 10) == 0 then
            local at = struct.unpack('>I4', value)
            local id = string.sub(name, 2, 9)
            known[#known + 1] = {id = id, rank = id == operation and at + 1 or at, at = at}
        end
    end
    table.sort(known, function(a, b)
        return a.rank > b.rank or (a.rank == b.rank and a.id < b.id)
    end)
    local others = 0
    for _, each in ipairs(known) do
        others = others + (each.at > now and 0 or 1)
        if each.at + keep_seconds <= now or others > MOST_OPERATIONS then
            drop_operation(each.id)
        else
            latest = math.max(latest, each.at + keep_seconds)
        end
    end
    return latest
end
