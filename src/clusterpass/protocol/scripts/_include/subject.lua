-- One subject in memory: read once, changed here and in the store, settled at the end.
--
-- A script that changes a subject includes record and subject, calls ``settle()`` last, and takes
--   KEYS  1 sessions   2 activity   3 online index of the slot
--         While the slot migrates 2 and 3 may be missing: what they hold is then left as it is.
--   ARGV  1 seconds a tombstone is kept 4 | history entries 1 | seconds of history 4 |
--           sessions opened before this millisecond have ended 6 |
--           id of the operation 8 (zeros: none) | subject
--
-- An operation that is repeated must change nothing that came after its first time. What it came to
-- is kept for a while: ``remember`` it after the change, ask ``repeated`` before it.

local MOST_TOMBSTONES = 64
local LOGIN, REFRESH, LOGOUT, REPLACEMENT, REVOCATION, BAN, UNBAN, REUSE = 1, 2, 3, 4, 5, 6, 7, 8
local ELEVATION, IMPERSONATION, CLAIMS_CHANGE, EXPIRY, IDLENESS = 9, 10, 11, 12, 13
local EVENT_OF_REASON = {LOGOUT, REPLACEMENT, REVOCATION, BAN, REUSE, EXPIRY, IDLENESS}
local NO_SESSION = string.rep('\0', SESSION_ID_BYTES)
local LONGEST_ENTRY = 64
local PER_SUBJECT = 512 -- an index score is: second in which the last session ends * 512 + sessions
local GENERATION_SECONDS = 3600 -- longer than a login is under way
local FIRST_SCORE = 1e11 -- below: the index' own total
local NO_OPERATION = string.rep('\0', 8)
local MOST_OPERATIONS = 8
local IDS_IN_A_FIELD = 4

local KEY, ACTIVITY, INDEX = KEYS[1], KEYS[2], KEYS[3]
local keep_seconds, history_entries, history_seconds, cutoff, operation =
    struct.unpack('>I4BI4I6c8', ARGV[1])
local subject_name = string.sub(ARGV[1], 24)
local now_ms, now_part = now_milliseconds()
local now = math.floor(now_ms / 1000)
local fields, activity = {}, {}

local function put(name, value)
    fields[name] = value
    redis.call('HSET', KEY, name, value)
end

local function drop(name)
    if fields[name] then
        fields[name] = nil
        redis.call('HDEL', KEY, name)
    end
end

-- The milliseconds of the latest end of all sessions; 0: there was none.
local function generation()
    return tonumber(fields['g'] or '0')
end

local function operation_field(id, part)
    return 'o' .. id .. string.char(part)
end

-- Keep what the operation came to: a number, the sessions that it ended, and when.
local OPERATION_FORMAT = '>I4I6BI2'
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

-- What the operation came to the first time, and the milliseconds of that; nil: this is the first.
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
    -- Kept for as long as it is repeated; also a write for WAIT to wait for.
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

-- Operations are kept for as long as tombstones at least are, while the key is; and not too many.
local keeps_operations = false -- whether the key has to stay for them
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

local function history_field(index)
    return 'h' .. string.char(index)
end

-- The history is a ring: line number n stands in field n % its size. Was the size changed since,
-- the latest lines are numbered anew.
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

-- Write a line of the history. All refreshes of a session share one line, which counts them.
local function note(event, session_id, at, count, address, text)
    if history_entries == 0 then
        return
    end
    local name
    if event == REFRESH then
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
    local head = struct.pack('>BI4I2', event, at, math.min(count, 65535)) .. session_id
        .. struct.pack('>B', #address) .. address
    put(name, head .. string.sub(text, 1, LONGEST_ENTRY - #head))
end

-- The record of the live session ``session_id``; each value is taken apart once.
local parsed = {}
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

-- Note that a session is in use.
local function mark_active(session_id)
    if ACTIVITY then
        activity[session_id] = now
        redis.call('HSET', ACTIVITY, session_id, struct.pack('>I4', now))
    end
end

-- Replace a live session by a tombstone, which is kept until its tokens would have expired; what
-- stands beside it goes.
local function bury(session_id, reason, at, text)
    local keep_until = at + keep_seconds
    if is_live(fields[session_id]) then
        keep_until = math.max(keep_until, live_ends_at(read_live(session_id)))
    end
    put(session_id, struct.pack('>BBI4I4', 130, reason, at, keep_until) .. text)
    drop(details_field(session_id))
    drop(elevation_field(session_id))
end

-- Bury sessions and write one line about all of them.
local function end_sessions(sessions, reason, address, text)
    for _, session in ipairs(sessions) do
        bury(session.id, reason, now, text)
    end
    if #sessions > 0 then
        local one = #sessions == 1 and sessions[1].id or NO_SESSION
        note(EVENT_OF_REASON[reason], one, now, #sessions, address, text)
    end
end

-- The sessions that live, in no order.
local function live_sessions()
    local live = {}
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and is_live(value) then
            live[#live + 1] = {id = name, record = read_live(name)}
        end
    end
    return live
end

-- Sessions that a later release wrote; they live as far as this one knows.
local function foreign_sessions()
    local found = {}
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and not is_live(value) and not is_tombstone(value) then
            found[#found + 1] = {id = name}
        end
    end
    return found
end

-- Every session that is not certainly dead.
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

local function read_bans()
    return fields['b'] and cjson.decode(fields['b']) or {}
end

local function write_bans(bans)
    if next(bans) then
        put('b', cjson.encode(bans))
    else
        drop('b')
    end
end

local function drop_ended_bans()
    if not fields['b'] then
        return
    end
    local bans, ended = read_bans(), false
    for scope, ban in pairs(bans) do
        if ban.u > 0 and ban.u <= now then
            bans[scope], ended = nil, true
        end
    end
    if ended then
        write_bans(bans)
    end
end

-- Read all fields; what has reached its end or was opened before the cutoff becomes a tombstone.
local function load()
    local flat = redis.call('HGETALL', KEY)
    for index = 1, #flat, 2 do
        fields[flat[index]] = flat[index + 1]
    end
    flat = ACTIVITY and redis.call('HGETALL', ACTIVITY) or {}
    for index = 1, #flat, 2 do
        activity[flat[index]] = seen_at(flat[index + 1])
    end
    local live = live_sessions()
    for _, session in ipairs(live) do
        if not ACTIVITY and needs_activity(session.record, now) then
            error({err = ACTIVITY_UNKNOWN})
        end
    end
    drop_ended_bans()
    fit_history()
    local alive = 0
    for _, session in ipairs(live) do
        local record = session.record
        local ends_at = live_ends_at(record)
        local reason, at = nil, now
        if ends_at <= now then
            reason, at = record.absolute_end == ends_at and EXPIRED or IDLE, ends_at
        elseif record.created < cutoff then
            reason = REVOKED
        end
        if reason then
            bury(session.id, reason, at, '')
            note(EVENT_OF_REASON[reason], session.id, at, 1, '', '')
        else
            alive = alive + 1
        end
    end
    if alive == 0 then
        drop('c') -- live claims go with the last session, before a login brings the next one
    end
end

-- Tombstones past their time, and the surplus; returns the second until which some are kept.
-- The tombstone of session ``fresh`` (may be nil), made just now, is not the one to make room.
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

-- The second of the latest line of the history.
local function last_line()
    local latest = 0
    for name, value in pairs(fields) do
        if #name == 2 and string.sub(name, 1, 1) == 'h' then
            local _, at = struct.unpack('>BI4', value)
            latest = math.max(latest, at)
        end
    end
    return latest
end

-- What is noted of sessions that were refreshed or ended since is of no more use.
local function settle_activity()
    local latest = 0
    for session_id, seen in pairs(activity) do
        local value = fields[session_id]
        if value and is_live(value) and read_live(session_id).refreshed < seen then
            latest = math.max(latest, live_ends_at(read_live(session_id)))
        else
            activity[session_id] = nil
            redis.call('HDEL', ACTIVITY, session_id)
        end
    end
    if latest > 0 then
        redis.call('EXPIREAT', ACTIVITY, latest + keep_seconds)
    end
end

-- The slot's list of who is online. Its member '' holds the number of sessions of all the others.
local function settle_index(live, ends_at)
    if not INDEX then
        return
    end
    local bound = '(' .. string.format('%.0f', (now + 1) * PER_SUBJECT)
    local delta = 0
    local before = redis.call('ZSCORE', INDEX, subject_name)
    if before then
        delta = delta - tonumber(before) % PER_SUBJECT
    end
    if live > 0 then
        local score = string.format('%.0f', ends_at * PER_SUBJECT + live)
        redis.call('ZADD', INDEX, score, subject_name)
        delta = delta + live
    elseif before then
        redis.call('ZREM', INDEX, subject_name)
    end
    local first = string.format('%.0f', FIRST_SCORE)
    local ended = redis.call('ZRANGEBYSCORE', INDEX, first, bound, 'WITHSCORES', 'LIMIT', 0, 100)
    for index = 1, #ended, 2 do
        redis.call('ZREM', INDEX, ended[index])
        delta = delta - tonumber(ended[index + 1]) % PER_SUBJECT
    end
    if delta ~= 0 then
        redis.call('ZINCRBY', INDEX, delta, '')
    end
    local last = redis.call('ZREVRANGE', INDEX, 0, 0, 'WITHSCORES')
    if last[1] == '' then
        redis.call('DEL', INDEX)
    elseif last[1] then
        redis.call('EXPIREAT', INDEX, math.floor(tonumber(last[2]) / PER_SUBJECT))
    end
end

-- Remove what is of no more use to anyone and let the key end with the last that is.
-- Returns the number of live sessions.
local function settle(fresh)
    local latest, online_until = settle_tombstones(fresh), 0
    settle_operations()
    local live = live_sessions()
    for _, session in ipairs(live) do
        local record = session.record
        -- Its use is noted without a change of this key and the index, while its tokens live.
        online_until = math.max(online_until, record.idle == 0 and record.absolute_end
            or math.min(record.absolute_end, record.active + record.idle + keep_seconds))
    end
    if #live > 0 then
        -- It stays a while past its end, so that it can be told why it ended.
        latest = math.max(latest, online_until + keep_seconds)
    end
    if #live == 0 then
        drop('c')
    end
    if keeps_operations then
        latest = math.max(latest, now + keep_seconds)
    end
    -- What a later release wrote is neither read nor thrown away.
    local for_good, foreign = false, #foreign_sessions() > 0
    for _, ban in pairs(read_bans()) do
        latest = math.max(latest, ban.u)
        for_good = for_good or ban.u == 0
    end
    if fields['g'] then
        latest = math.max(latest,
            math.ceil(generation() / 1000) + math.max(GENERATION_SECONDS, keep_seconds))
    end
    if fields['h'] and history_seconds > 0 then
        latest = math.max(latest, last_line()) + history_seconds
    end
    if for_good or foreign then
        redis.call('PERSIST', KEY)
    elseif latest > now then
        -- Without the activity only a later end is certain.
        if ACTIVITY or redis.call('TTL', KEY) < latest - now then
            redis.call('EXPIREAT', KEY, latest)
        end
    else
        redis.call('DEL', KEY)
    end
    settle_activity()
    settle_index(math.min(#live, PER_SUBJECT - 1), online_until)
    return #live
end

-- A session as all scripts answer it:
-- {now in milliseconds, record, details, elevation, live claims, bans, second of its last use,
--  generation}
local function described(session_id)
    return {
        now_ms, fields[session_id] or '', fields[details_field(session_id)] or '',
        fields[elevation_field(session_id)] or '', fields['c'] or '', fields['b'] or '',
        activity[session_id] or 0, fields['g'] or '',
    }
end
