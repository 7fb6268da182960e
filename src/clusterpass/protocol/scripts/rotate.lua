#!lua
-- Exchange a refresh token for its one successor.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 session id   3 digest presented   4 rotation presented
--          5 digest of the successor   6 grace in seconds
--          7 digests of the four tokens after the presented one, 16 bytes each, for each key that
--            may have derived them (empty without a grace)
--          8 address
--          9 '1': the token before the record's may be presented again until its successor was
--            used, however long that takes
--          10 '1': the caller may lack a key that has derived a successor
-- Returns  {status, the session as described, key}
-- Status   OK          the record now holds the successor
--          AGAIN       the token was exchanged a moment ago, or its successor was not used yet;
--                      ``key`` (from 0) derived its successor
--          UNKNOWN     there is no such session
--          ENDED       the record is a tombstone
--          REUSED      the token was exchanged before: the session was ended just now
--          UNCERTAIN   the token was exchanged before, and the caller cannot tell whether its
--                      successor was derived from it: the session is left alone
--          SUPERSEDED  a step-up ended the token, and its own was not used yet
--          UNREADABLE  the record is in a schema of a later release; the session is left alone
--
-- A repeated call changes nothing: the answer is AGAIN, or without a grace OK. A token is compared
-- with the record, or with the token before a step-up (see elevation): the ``line`` below.
--
-- Mostly the token is the record's own and nothing of the subject has ended: then a glance at it
-- suffices.
--@include change_arguments
--@include described_session
--@include fast_path
--@include forget_last_use
--@include record

local session_id, presented, rotation, successor = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local grace, chains = tonumber(ARGV[6]), ARGV[7]
local CHAIN = 4

local function answer(status, key)
    return {status, described(session_id), key or 0}
end

-- Put the successor in the place of the line's token.
local function exchange(line)
    local began = line.refreshed - line.burst_span
    if line.burst == 0 or now - line.refreshed > grace then
        began, line.burst = now, 0
    elseif now - began > grace then
        -- Only the exchange before this one is still recent enough for a retry.
        began, line.burst = line.refreshed, 1
    end
    -- Exchanges that the store has lost count as made just now: their tokens may be on their way
    -- again, and are not stolen for that.
    local lost = math.max(0, rotation - line.rotation)
    if lost > 0 then
        began = now
    end
    line.burst = math.min(line.burst + lost + 1, 255)
    -- The clock of a promoted replica may lag.
    line.burst_span = math.max(0, math.min(now - began, 65535))
    line.digest, line.rotation, line.refreshed = successor, rotation + 1, now
end

-- The line of the history that counts the refreshes of the session, and its count; nil: none.
local function counted()
    local wanted = string.char(REFRESH)
    for name, value in pairs(fields) do
        if #name == 2 and string.sub(name, 1, 1) == 'h' and string.sub(value, 1, 1) == wanted
            and string.sub(value, 8, 23) == session_id then
            local _, _, before = struct.unpack('>BI4I2', value)
            return name, before
        end
    end
end

local seen = glance(session_id, true)
local known = seen and not fields[elevation_field(session_id)] and fields[session_id]
if known and is_live(known) then
    local record = parse_live(known)
    if record.digest == presented and record.rotation == rotation then
        exchange(record)
        record.active = now
        fields[session_id] = pack_live(record)
        local changes = {session_id, fields[session_id]}
        if history_entries > 0 then
            local name, before = counted()
            note_at_a_glance(changes, name,
                pack_line(REFRESH, now, (before or 0) + 1, session_id, ARGV[8], ''))
        end
        forget_use(session_id)
        seen.latest_ms = math.max(seen.latest_ms, now * 1000)
        seen.online_until = math.max(seen.online_until, last_end(record))
        settle_at_a_glance(seen, changes)
        return answer('OK')
    end
end

-- All other refreshes.
--@include elevation
--@include subject
--@include used_tokens

local used = used_in(ACTIVITY and redis.call('HGET', ACTIVITY, session_id))
load()

-- The key (from 0) under which the line's token descends from the presented one; nil: none.
local function descent(line)
    local steps = line.rotation - rotation
    if steps < 1 or steps > CHAIN then
        return nil
    end
    for key = 0, #chains / (16 * CHAIN) - 1 do
        local start = (key * CHAIN + steps - 1) * 16
        if string.sub(chains, start + 1, start + 16) == line.digest then
            return key
        end
    end
    return nil
end

-- Whether the presented token was exchanged no longer ago than the grace.
local function is_recent(line)
    if line.rotation - rotation == 1 then
        return now - line.refreshed <= grace
    end
    return line.rotation - rotation <= line.burst
        and now - (line.refreshed - line.burst_span) <= grace
end

-- Whether nobody has used a token of the last exchange, which was of the presented token.
local function is_unused(line, elevation)
    if ARGV[9] ~= '1' or not ACTIVITY or line.rotation - rotation ~= 1 then
        return false
    elseif elevation and line == elevation.older then
        return not has_used(used, OLDER_USED) and not elevation.older_used
    end
    return not has_used(used, OWN_USED)
end

-- The note of uses goes with an exchange of the record's own line; what it says of the other stays.
local function keep_note_of_older(elevation)
    if elevation and elevation.older and has_used(used, OLDER_USED) then
        elevation.older_used = true
        put_elevation(session_id, elevation)
    end
end

-- The answer to the last exchange of ``line`` was lost, so it counts as made now.
local function exchange_late(record, elevation, line)
    line.refreshed, line.burst, line.burst_span = now, 1, 0
    if line == record then
        keep_note_of_older(elevation)
        put(session_id, pack_live(record))
        forget_use(session_id)
    else
        put_elevation(session_id, elevation)
        activity[session_id] = now
        redis.call('HSET', ACTIVITY, session_id, pack_use(now, used % OLDER_USED))
    end
    note(REFRESH, session_id, now, 1, ARGV[8], '')
    settle()
end

local function class_of_reuse(line, key)
    if rotation >= line.rotation or (chains ~= '' and line.rotation - rotation <= CHAIN
        and not key) then
        return 'foreign'
    end
    return rotation == line.rotation - 1 and 'recent' or 'stale'
end

-- Store the exchange of ``line``. Of the two tokens that a step-up leaves, the first to be exchanged
-- after the grace ends the other.
local function keep(record, elevation, line)
    local is_decided = elevation and elevation.older
        and (grace == 0 or now - elevation.at > grace)
    if line ~= record and not is_decided then
        elevation.older_used = false
        put_elevation(session_id, elevation)
        if ACTIVITY then
            activity[session_id] = now
            redis.call('HSET', ACTIVITY, session_id, pack_use(now, used % OLDER_USED))
        end
        return
    end
    if line ~= record then
        record.digest, record.rotation, record.refreshed = line.digest, line.rotation, now
        record.burst, record.burst_span = line.burst, line.burst_span
    end
    if is_decided then
        elevation.older, elevation.older_used = nil, false
        put_elevation(session_id, elevation)
    else
        keep_note_of_older(elevation)
    end
    put(session_id, pack_live(record))
    forget_use(session_id)
end

local value = fields[session_id]
if not value then
    settle()
    return answer('UNKNOWN')
end
if is_tombstone(value) then
    redis.call('HSET', KEY, session_id, value) -- a write for WAIT to wait for
    settle(session_id)
    return answer('ENDED')
end
if not is_live(value) then
    return answer('UNREADABLE')
end
local record, elevation = read_live(session_id), read_elevation(session_id)
local is_older = elevation and rotation < elevation.first
local line = is_older and elevation.older or record
-- Without a grace every exchange has another successor, so this is the same call repeated.
if grace == 0 and line.digest == successor and line.rotation == rotation + 1 then
    put(session_id, value)
    return answer('OK')
end
local key = descent(line)
if key and is_recent(line) then
    put(session_id, value)
    return answer('AGAIN', key)
elseif key and is_unused(line, elevation) then
    exchange_late(record, elevation, line)
    return answer('AGAIN', key)
end
-- The token of a step-up that the older one has ended is not ahead of the record.
local is_given_up = elevation and record.rotation < elevation.first
    and rotation >= elevation.first and rotation < elevation.first + ROTATIONS_APART
-- A genuine token may be ahead of its line: the store has lost the last exchange.
if (line.digest == presented and line.rotation == rotation)
    or (rotation > line.rotation and not is_given_up) then
    exchange(line)
    keep(record, elevation, line)
    note(REFRESH, session_id, now, 1, ARGV[8], '')
    settle()
    return answer('OK')
end
if is_older and elevation.ends_older
    and (record.rotation == elevation.first or now - elevation.at <= grace) then
    put(session_id, value)
    return answer('SUPERSEDED')
end
local steps = line.rotation - rotation
if ARGV[10] == '1' and chains ~= '' and not key and steps >= 1 and steps <= CHAIN then
    return answer('UNCERTAIN')
end
local class = class_of_reuse(line, key)
bury(session_id, REUSED, now, class)
note(REUSE, session_id, now, 1, ARGV[8], class)
settle(session_id)
return answer('REUSED')
