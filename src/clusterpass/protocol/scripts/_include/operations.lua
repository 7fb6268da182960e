-- Idempotent operations: a repeated call must not undo what came after its first run.
--
-- A script asks ``repeated`` before its change and calls ``remember`` after it. The result is kept
-- for at least as long as a client may repeat the call.
--
-- Needs    arguments, fields, record
-- Gives    remember, repeated; keeps_operations, settle_operations
--@include arguments
--@include fields
--@include record

local NO_OPERATION = string.rep('\0', 8)
local MOST_OPERATIONS = 8
local IDS_IN_A_FIELD = 4
local OPERATION_FORMAT = '>I4I6BI2' -- noted at, first run in milliseconds, result, sessions

-- Part 0 of an operation is its result; the parts from 1 on hold the ids of the sessions it ended.
local function operation_field(id, part)
    return 'o' .. id .. string.char(part)
end

-- Keep the result of this operation (a number), the ids of the sessions that it ended, and when.
local function remember(result, ids)
    if operation == NO_OPERATION then
        return
    end
    put(operation_field(operation, 0), struct.pack(OPERATION_FORMAT, now, now_ms, result, #ids))
    for first = 1, #ids, IDS_IN_A_FIELD do
        local last = math.min(first + IDS_IN_A_FIELD - 1, #ids)
        put(operation_field(operation, math.ceil(first / IDS_IN_A_FIELD)),
            table.concat(ids, '', first, last))
    end
end

-- The result of the first run, the ids of the sessions that it ended, and its milliseconds;
-- nil: this is the first run.
local function repeated()
    local value = operation ~= NO_OPERATION and fields[operation_field(operation, 0)]
    if not value then
        return nil
    end
    local _, first_ms, result, count = struct.unpack(OPERATION_FORMAT, value)
    local ids = {}
    for index = 0, count - 1 do
        local part = fields[operation_field(operation, math.floor(index / IDS_IN_A_FIELD) + 1)]
        local start = index % IDS_IN_A_FIELD * SESSION_ID_BYTES
        ids[index + 1] = string.sub(part, start + 1, start + SESSION_ID_BYTES)
    end
    -- Noting the repetition keeps the result for as long as there are any; and WAIT needs a write.
    put(operation_field(operation, 0),
        struct.pack(OPERATION_FORMAT, now, first_ms, result, count))
    return result, ids, first_ms
end

local function drop_operation(id)
    local part = 0
    while fields[operation_field(id, part)] do
        drop(operation_field(id, part))
        part = part + 1
    end
end

-- A script sets this to true when the key must outlive its sessions for the sake of its operations.
local keeps_operations = false

-- Drop the operations whose time is over, and the oldest beyond MOST_OPERATIONS.
local function settle_operations()
    local known = {}
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
    for index, each in ipairs(known) do
        if each.at + keep_seconds <= now or index > MOST_OPERATIONS then
            drop_operation(each.id)
        end
    end
end
