-- The layout of clusterpass/protocol/records.py, and what several verbs do with it.

local TOMBSTONE_SCHEMA = 129
local SESSION_ID_BYTES = 16
local MOST_TOMBSTONES = 64
local REPLACED = 2

-- The server's clock in milliseconds: one clock judges every session.
local function now_milliseconds()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function is_tombstone(value)
    return string.byte(value, 1) >= 128
end

local function parse_live(value)
    local _, flags, created, absolute_end, refreshed, idle, rotation, digest =
        struct.unpack('>BBI6I4I4I4I4c16', value)
    return {
        flags = flags, created = created, absolute_end = absolute_end, refreshed = refreshed,
        idle = idle, rotation = rotation, digest = digest, device = string.sub(value, 41),
    }
end

local function pack_live(record)
    return struct.pack('>BBI6I4I4I4I4c16', 1, record.flags, record.created, record.absolute_end,
        record.refreshed, record.idle, record.rotation, record.digest) .. record.device
end

local function live_ends_at(record)
    if record.idle == 0 then
        return record.absolute_end
    end
    return math.min(record.absolute_end, record.refreshed + record.idle)
end

-- The second from which a field is of no more use to anyone.
local function field_ends_at(value)
    if is_tombstone(value) then
        local _, _, _, keep_until = struct.unpack('>BBI4I4', value)
        return keep_until
    end
    return live_ends_at(parse_live(value))
end

-- The field beside a session's own that holds what does not fit its record.
local function details_field(session_id)
    return session_id .. 'd'
end

local function read_details(key, session_id, flags)
    if flags % 2 == 0 then
        return ''
    end
    return redis.call('HGET', key, details_field(session_id)) or ''
end

-- Replace a live record by a tombstone; its details go.
local function bury(key, session_id, reason, now, keep_seconds)
    local value = struct.pack('>BBI4I4', TOMBSTONE_SCHEMA, reason, now, now + keep_seconds)
    redis.call('HSET', key, session_id, value)
    redis.call('HDEL', key, details_field(session_id))
end

-- Remove what has ended and the surplus of tombstones; let the key expire with its last session.
-- The tombstone of session ``fresh`` (may be nil), made just now, is not the one to make room.
-- Returns the live sessions as a list of {id, created}, oldest first.
local function tidy(key, now, fresh)
    local fields = redis.call('HGETALL', key)
    local live, tombstones, latest = {}, {}, 0
    for index = 1, #fields, 2 do
        local session_id, value = fields[index], fields[index + 1]
        local ends_at = #session_id == SESSION_ID_BYTES and field_ends_at(value) or nil
        if ends_at and ends_at <= now then
            redis.call('HDEL', key, session_id, details_field(session_id))
        elseif ends_at then
            latest = math.max(latest, ends_at)
            if is_tombstone(value) then
                local rank = ends_at + (session_id == fresh and 1 or 0)
                tombstones[#tombstones + 1] = {id = session_id, rank = rank}
            else
                live[#live + 1] = {id = session_id, created = parse_live(value).created}
            end
        end
    end
    if #tombstones > MOST_TOMBSTONES then
        table.sort(tombstones, function(a, b) return a.rank > b.rank end)
        for index = MOST_TOMBSTONES + 1, #tombstones do
            redis.call('HDEL', key, tombstones[index].id)
        end
    end
    if latest > 0 then
        redis.call('EXPIREAT', key, latest)
    end
    table.sort(live, function(a, b)
        return a.created < b.created or (a.created == b.created and a.id < b.id)
    end)
    return live
end
