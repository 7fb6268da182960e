-- Recognises repeated calls of an operation, which must not undo what came after its first run.
--
-- A script asks ``mismatched`` and ``repeated`` before its change and calls ``remember`` after it,
-- even if there was nothing to change: an id belongs to the first request that used it. The result
-- is kept for at least as long as a client, or a journal, may repeat the call.
--
-- Needs    change_arguments, operations, record, subject_hash
-- Gives    mismatched, remember, repeated
--@include change_arguments
--@include operations
--@include record
--@include subject_hash

local IDS_IN_A_FIELD = 4
-- Noted at, first run in milliseconds, result, number of sessions; the fingerprint of the request
-- follows, except in an operation that the release before this one stored.
local OPERATION_FORMAT = '>I4I6BI2'
local OPERATION_BYTES, FINGERPRINT_BYTES = 13, 8

-- Whether the id of this operation belongs to another request on this subject.
local function mismatched()
    local value = operation ~= NO_OPERATION and fields[operation_field(operation, 0)]
    local known = value
        and string.sub(value, OPERATION_BYTES + 1, OPERATION_BYTES + FINGERPRINT_BYTES) or ''
    return known ~= '' and known ~= fingerprint
end

-- The second from which this operation is kept for ``keep_seconds``.
local function noted_at()
    return math.max(now, operation_until - keep_seconds)
end

-- Keep the result of this operation (a number), the ids of the sessions that it ended, and when.
local function remember(result, ids)
    if operation == NO_OPERATION then
        return
    end
    put(operation_field(operation, 0),
        struct.pack(OPERATION_FORMAT, noted_at(), now_ms, result, #ids) .. fingerprint)
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
    local noted, first_ms, result, count = struct.unpack(OPERATION_FORMAT, value)
    local ids = {}
    for index = 0, count - 1 do
        local part = fields[operation_field(operation, math.floor(index / IDS_IN_A_FIELD) + 1)]
        local start = index % IDS_IN_A_FIELD * SESSION_ID_BYTES
        ids[index + 1] = string.sub(part, start + 1, start + SESSION_ID_BYTES)
    end
    -- Noting the repetition keeps the result for as long as there are any; and WAIT needs a write.
    put(operation_field(operation, 0),
        struct.pack(OPERATION_FORMAT, math.max(noted, noted_at()), first_ms, result, count)
            .. string.sub(value, OPERATION_BYTES + 1))
    return result, ids, first_ms
end
