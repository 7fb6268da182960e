-- The sessions of the subject, as lists of {id, record}.
--
-- Needs    record, subject_hash
-- Gives    read_live, live_sessions, foreign_sessions, all_sessions, session_ids
--@include record
--@include subject_hash

local parsed = {} -- by value: each is taken apart once

-- The record of the live session ``session_id``, with the second of its last use.
local function read_live(session_id)
    local value = fields[session_id]
    local record = parsed[value]
    if not record then
        record = parse_live(value)
        parsed[value] = record
    end
    record.active = math.max(record.refreshed, activity[session_id] or 0)
    return record
end

-- The live sessions, in no order.
local function live_sessions()
    local live = {}
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and is_live(value) then
            live[#live + 1] = {id = name, record = read_live(name)}
        end
    end
    return live
end

-- Sessions in a schema of a later release: they count as live, and have no ``record`` here.
local function foreign_sessions()
    local found = {}
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and not is_live(value) and not is_tombstone(value) then
            found[#found + 1] = {id = name}
        end
    end
    return found
end

-- Every session that is not known to have ended.
local function all_sessions()
    local all = foreign_sessions()
    for _, session in ipairs(live_sessions()) do
        all[#all + 1] = session
    end
    return all
end

local function session_ids(sessions)
    local ids = {}
    for index, session in ipairs(sessions) do
        ids[index] = session.id
    end
    return ids
end
