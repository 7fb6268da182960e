-- The history: a ring of lines. Line number n is in field 'h' .. char(n % size of the ring); the
-- field 'h' holds the number of the newest line.
--
-- Needs    change_arguments, history_line, record, subject_hash
-- Gives    EVENT_OF_REASON, NO_SESSION; note, fit_history, last_line
--@include change_arguments
--@include history_line
--@include record
--@include subject_hash

local EVENT_OF_REASON = {LOGOUT, REPLACEMENT, REVOCATION, BAN, REUSE, EXPIRY, IDLENESS}
local NO_SESSION = string.rep('\0', SESSION_ID_BYTES)

-- Renumber the latest lines when the configured size of the ring has changed.
local function fit_history()
    if not fields['h'] then
        return
    end
    local newest, size = tonumber(fields['h']), 0
    for name in pairs(fields) do
        if #name == 2 and string.sub(name, 1, 1) == 'h' then
            size = math.max(size, string.byte(name, 2) + 1)
        end
    end
    local has_wrapped = newest >= size
    if size == history_entries or (size < history_entries and not has_wrapped) then
        return
    end
    local lines = {}
    for step = 1, size do
        local name = history_field(has_wrapped and (newest + step) % size or step - 1)
        lines[#lines + 1] = fields[name]
        drop(name)
    end
    local surplus = math.max(#lines - history_entries, 0)
    for number = surplus + 1, #lines do
        put(history_field(number - surplus - 1), lines[number])
    end
    if #lines > surplus then
        put('h', tostring(#lines - surplus - 1))
    else
        drop('h')
    end
end

-- Write a line. All refreshes of a session share one line, which counts them, and so do all refused
-- logins.
local function note(event, session_id, at, count, address, text)
    if history_entries == 0 then
        return
    end
    local name
    if event == REFRESH or event == REFUSAL then
        local wanted = struct.pack('>B', event)
        for field, value in pairs(fields) do
            if #field == 2 and string.sub(field, 1, 1) == 'h' and string.sub(value, 1, 1) == wanted
                and string.sub(value, 8, 23) == session_id then
                name = field
                local _, _, before = struct.unpack('>BI4I2', value)
                count = math.min(before + count, 65535)
            end
        end
    end
    if not name then
        local number = (tonumber(fields['h']) or -1) + 1
        put('h', tostring(number))
        name = history_field(number % history_entries)
    end
    put(name, pack_line(event, at, count, session_id, address, text))
end

-- The second of the latest line but that of refused logins, which keep nothing; 0: there is none.
local function last_line()
    local latest = 0
    for name, value in pairs(fields) do
        if #name == 2 and string.sub(name, 1, 1) == 'h' then
            local event, at = struct.unpack('>BI4', value)
            latest = math.max(latest, event == REFUSAL and 0 or at)
        end
    end
    return latest
end
