-- Repeated calls of an operation: they must not undo what came after its first run.
--
-- A script asks ``repeated`` before its change and calls ``remember`` after it. The result is kept
-- for at least as long as a client may repeat the call.
--
-- Needs    arguments, fields, operations, record
-- Gives    remember, repeated
--@include arguments
--@include fields
--@include operations
--@include record

local NO_OPERATION = string.rep('\0', 8)
local IDS_IN_A_FIELD = 4
local OPERATION_FORMAT = '>I4I6BI2' -- noted at, first run in milliseconds, result, sessions

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
