-- The summary of a subject with many fields: field 's' shows a login or a refresh that nothing has
-- ended, so that the script need not read all fields.
--
--   schema 1 | live sessions 2 | newest line of the history 4 | first end 4 | last end 4 |
--   seconds of a tombstone 4 | history entries 1 | history seconds 4 | first login 6 |
--   latest login: milliseconds 6, part 1 | latest time seen 6
--
-- ``first end``: the second before which no session, tombstone or operation ends. ``last end``: the
-- second until which the subject is online. A release without summaries leaves them unchanged, but
-- its logins and endings show in the online index and in the history.
--
-- Needs    change_arguments, clock, record, subject_hash
-- Gives    last_end, survey, read_summary, pack_summary, settle_summary; LEAST_FIELDS,
--          MOST_OPERATIONS, MOST_TOMBSTONES
--@include change_arguments
--@include clock
--@include record
--@include subject_hash

local SUMMARY, SUMMARY_FORMAT = 1, '>BI2I4I4I4I4BI4I6I6BI6'
local LEAST_FIELDS = 40
local MOST_OPERATIONS, MOST_TOMBSTONES = 8, 64
local NEVER = 4294967295

-- The second until which a session may be live as far as its subject tells. A use is noted without a
-- change of that key and of the index, so a session counts as used for as long as its tokens live.
local function last_end(record)
    if record.idle == 0 then
        return record.absolute_end
    end
    return math.min(record.absolute_end, record.active + record.idle + keep_seconds)
end

-- Count ``fields``, with the times in ``activity``; nil: some are of a later release, or from a time
-- that is further ahead than clocks may be apart.
local function survey()
    local live, tombstones, operations, lines, count = 0, 0, 0, 0, 0
    local first_end, online_until, kept_until, last_line = NEVER, 0, 0, 0
    local first_login, order, latest_ms = NEVER * 1000, 0, 0
    for name, value in pairs(fields) do
        local length = #name
        count = count + 1
        if length == SESSION_ID_BYTES then
            local schema = string.byte(value, 1)
            if schema == 1 or schema == 2 then
                local _, flags, created, ends_at, active, idle =
                    struct.unpack('>BBI6I4I4I4', value)
                local last_end = ends_at
                active = math.max(active, activity[name] or 0)
                if idle > 0 then
                    last_end = math.min(ends_at, active + idle + keep_seconds)
                    ends_at = math.min(ends_at, active + idle)
                end
                live = live + 1
                first_end = math.min(first_end, ends_at)
                online_until = math.max(online_until, last_end)
                first_login = math.min(first_login, created)
                order = math.max(order, created * 32 + math.floor(flags / FLAGS))
                latest_ms = math.max(latest_ms, created, active * 1000)
            elseif schema == 129 or schema == 130 then
                local _, _, ended_at, keep_until = struct.unpack('>BBI4I4', value)
                tombstones = tombstones + 1
                first_end = math.min(first_end, keep_until)
                kept_until = math.max(kept_until, keep_until)
                latest_ms = math.max(latest_ms, ended_at * 1000)
            else
                return nil
            end
        elseif length == 2 and string.byte(name, 1) == 104 then -- h
            local _, at = struct.unpack('>BI4', value)
            lines = math.max(lines, string.byte(name, 2) + 1)
            last_line = math.max(last_line, at)
        elseif length == 10 and string.byte(name, 1) == 111 and string.byte(name, 10) == 0 then -- o
            local at = struct.unpack('>I4', value) + keep_seconds
            operations = operations + 1
            first_end = math.min(first_end, at)
            kept_until = math.max(kept_until, at)
        end
    end
    if latest_ms > clock_ms + MOST_APART_MS then
        return nil
    end
    return {
        live = live, tombstones = tombstones, operations = operations, lines = lines,
        count = count, first_end = first_end, online_until = online_until,
        kept_until = kept_until, last_line = last_line, first_login = first_login,
        order = order, latest_ms = latest_ms, is_whole = true,
    }
end

local function pack_summary(found)
    return struct.pack(SUMMARY_FORMAT, SUMMARY, found.live, tonumber(fields['h']), found.first_end,
        found.online_until, keep_seconds, history_entries, history_seconds, found.first_login,
        math.floor(found.order / 32), found.order % 32, found.latest_ms)
end

-- What a summary tells, with the members of a survey as far as it knows them; nil: it was written
-- under other settings, or does not fit what is there now. ``sessions``: in the online index.
local function read_summary(value, sessions)
    local schema, live, newest, first_end, online_until, keep, entries, seconds, first_login, login,
        part, latest_ms = struct.unpack(SUMMARY_FORMAT, value)
    if schema ~= SUMMARY or keep ~= keep_seconds or entries ~= history_entries
        or seconds ~= history_seconds or live ~= sessions or newest ~= tonumber(fields['h'])
        or latest_ms > clock_ms + MOST_APART_MS then
        return nil
    end
    return {
        live = live, tombstones = 0, operations = 0, lines = entries, count = LEAST_FIELDS,
        first_end = first_end, online_until = online_until, kept_until = 0, last_line = 0,
        first_login = first_login, order = login * 32 + part, latest_ms = latest_ms,
    }
end

-- Write the summary of a subject that had ``count`` fields when it was loaded, or drop it.
local function settle_summary(count)
    local found = count >= LEAST_FIELDS and INDEX and fields['h'] and survey()
    if found and found.live > 0 and found.operations <= MOST_OPERATIONS then
        put('s', pack_summary(found))
    else
        drop('s')
    end
end
