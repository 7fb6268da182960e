-- Tombstones: what remains of a session that has ended, so that a client that presents one of its
-- tokens can be told why it ended.
--
-- Needs    change_arguments, history, record, sessions, subject_hash, subject_summary
-- Gives    bury, end_sessions, settle_tombstones
--@include change_arguments
--@include history
--@include record
--@include sessions
--@include subject_hash
--@include subject_summary

-- Replace a session by a tombstone that is kept until the session's tokens would have expired, and
-- drop its details and its step-up.
local function bury(session_id, reason, at, text)
    local keep_until = at + keep_seconds
    if is_live(fields[session_id]) then
        keep_until = math.max(keep_until, live_ends_at(read_live(session_id)))
    end
    put(session_id, struct.pack('>BBI4I4', 130, reason, at, keep_until) .. text)
    drop(details_field(session_id))
    drop(elevation_field(session_id))
end

-- Bury sessions, and write one line of history about all of them.
local function end_sessions(sessions, reason, address, text)
    for _, session in ipairs(sessions) do
        bury(session.id, reason, now, text)
    end
    if #sessions > 0 then
        local one = #sessions == 1 and sessions[1].id or NO_SESSION
        note(EVENT_OF_REASON[reason], one, now, #sessions, address, text)
    end
end

-- Drop the tombstones whose time is over, and the oldest beyond MOST_TOMBSTONES. ``fresh`` (or
-- nil): the session that ended just now, whose tombstone stays. Returns the second until which the
-- last tombstone is kept; 0: none is left.
local function settle_tombstones(fresh)
    local tombstones, latest = {}, 0
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and is_tombstone(value) then
            local ended_at, keep_until = parse_tombstone(value)
            local rank = ended_at + (name == fresh and 1 or 0)
            tombstones[#tombstones + 1] = {id = name, rank = rank, keep_until = keep_until}
        end
    end
    table.sort(tombstones, function(a, b)
        return a.rank > b.rank or (a.rank == b.rank and a.id < b.id)
    end)
    for index, tombstone in ipairs(tombstones) do
        if tombstone.keep_until <= now or index > MOST_TOMBSTONES then
            drop(tombstone.id)
        else
            latest = math.max(latest, tombstone.keep_until)
        end
    end
    return latest
end
