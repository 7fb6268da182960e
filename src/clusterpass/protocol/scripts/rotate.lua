#!lua
-- Exchange a refresh token for its one successor.
--
-- KEYS     see arguments
-- ARGV     1 see arguments   2 session id   3 digest presented   4 rotation presented
--          5 digest of the successor   6 grace in seconds
--          7 digests of the four tokens after the presented one, 16 bytes each, for each key that
--            may have derived them (empty without a grace)
--          8 address
-- Returns  {status, the session as described, key}
-- Status   OK          the record now holds the successor
--          AGAIN       the token was exchanged a moment ago; ``key`` (from 0) derived its successor
--          UNKNOWN     there is no such session
--          ENDED       the record is a tombstone
--          REUSED      the token was exchanged before: the session was ended just now
--          UNREADABLE  the record is in a schema of a later release; the session is left alone
--
-- A repeated call changes nothing: the answer is AGAIN, or without a grace OK.
--@include subject

load()
local session_id, presented, rotation, successor = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local grace, chains = tonumber(ARGV[6]), ARGV[7]
local CHAIN = 4

local function answer(status, key)
    return {status, described(session_id), key or 0}
end

-- The key (from 0) under which the record's token descends from the presented one; nil: none.
local function descent(record)
    local steps = record.rotation - rotation
    if steps < 1 or steps > CHAIN then
        return nil
    end
    for key = 0, #chains / (16 * CHAIN) - 1 do
        local start = (key * CHAIN + steps - 1) * 16
        if string.sub(chains, start + 1, start + 16) == record.digest then
            return key
        end
    end
    return nil
end

-- Whether the presented token was exchanged no longer ago than the grace.
local function is_fresh(record)
    if record.rotation - rotation == 1 then
        return now - record.refreshed <= grace
    end
    return record.rotation - rotation <= record.burst
        and now - (record.refreshed - record.burst_span) <= grace
end

local function class_of_reuse(record, key)
    if rotation >= record.rotation or (chains ~= '' and record.rotation - rotation <= CHAIN
        and not key) then
        return 'foreign'
    end
    return rotation == record.rotation - 1 and 'recent' or 'stale'
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
local record = read_live(session_id)
-- Without a grace every exchange has another successor, so this is the same call repeated.
if grace == 0 and record.digest == successor and record.rotation == rotation + 1 then
    put(session_id, value)
    return answer('OK')
end
local key = descent(record)
if key and is_fresh(record) then
    put(session_id, value)
    return answer('AGAIN', key)
end
-- A genuine token may be ahead of its record: the store has lost the last exchange.
if (record.digest == presented and record.rotation == rotation) or rotation > record.rotation then
    local began = record.refreshed - record.burst_span
    if record.burst == 0 or now - record.refreshed > grace then
        began, record.burst = now, 0
    elseif now - began > grace then
        -- Only the exchange before this one is still recent enough for a retry.
        began, record.burst = record.refreshed, 1
    end
    record.burst = math.min(record.burst + 1, 255)
    -- The clock of a promoted replica may lag.
    record.burst_span = math.max(0, math.min(now - began, 65535))
    record.digest, record.rotation, record.refreshed = successor, rotation + 1, now
    put(session_id, pack_live(record))
    note(REFRESH, session_id, now, 1, ARGV[8], '')
    settle()
    return answer('OK')
end
local class = class_of_reuse(record, key)
bury(session_id, REUSED, now, class)
note(REUSE, session_id, now, 1, ARGV[8], class)
settle(session_id)
return answer('REUSED')
