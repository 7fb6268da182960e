-- The layout of session records and tombstones, which clusterpass/protocol/records.py states.
--
-- Needs    nothing
-- Gives    the flags and the reasons by number, SESSION_ID_BYTES, ACTIVITY_UNKNOWN;
--          is_live, is_tombstone; parse_live, pack_live, parse_tombstone, seen_at;
--          login_order, set_login_order, has_flag, live_ends_at, device_type, needs_activity;
--          details_field, elevation_field

local SESSION_ID_BYTES = 16
local IMPERSONATED = 4
local LOGGED_OUT, REPLACED, REVOKED, BANNED, REUSED, EXPIRED, IDLE = 1, 2, 3, 4, 5, 6, 7
local LIVE_FORMAT, LIVE_BYTES = '>BBI6I4I4I4I4c16BI2', 43
local LIVE_FORMAT_1, LIVE_BYTES_1 = '>BBI6I4I4I4I4c16', 40

local function is_tombstone(value)
    local schema = string.byte(value, 1)
    return schema == 129 or schema == 130
end

local function is_live(value)
    local schema = string.byte(value, 1)
    return schema == 1 or schema == 2
end

-- ``active``: the second of the last use, as far as the record alone tells.
local function parse_live(value)
    local record = {burst = 0, burst_span = 0}
    local schema
    if string.byte(value, 1) == 1 then
        schema, record.flags, record.created, record.absolute_end, record.refreshed, record.idle,
            record.rotation, record.digest = struct.unpack(LIVE_FORMAT_1, value)
        record.device = string.sub(value, LIVE_BYTES_1 + 1)
    else
        schema, record.flags, record.created, record.absolute_end, record.refreshed, record.idle,
            record.rotation, record.digest, record.burst, record.burst_span =
            struct.unpack(LIVE_FORMAT, value)
        record.device = string.sub(value, LIVE_BYTES + 1)
    end
    record.active = record.refreshed
    return record
end

local function pack_live(record)
    return struct.pack(LIVE_FORMAT, 2, record.flags, record.created, record.absolute_end,
        record.refreshed, record.idle, record.rotation, record.digest, record.burst,
        record.burst_span) .. record.device
end

-- The upper five bits of the flags order the logins of one millisecond.
local FLAGS = 8
local function login_order(record)
    return record.created * 32 + math.floor(record.flags / FLAGS)
end

local function set_login_order(record, order)
    record.created = math.floor(order / 32)
    record.flags = record.flags % FLAGS + order % 32 * FLAGS
end

local function has_flag(record, flag)
    return math.floor(record.flags / flag) % 2 == 1
end

local function live_ends_at(record)
    if record.idle == 0 then
        return record.absolute_end
    end
    return math.min(record.absolute_end, record.active + record.idle)
end

-- The kind of device: the text before a NUL; a name without a NUL has no kind.
local function device_type(record)
    return string.match(record.device, '^([^%z]*)%z') or ''
end

-- The second in which the session ended, and the second until which its tombstone is kept.
local function parse_tombstone(value)
    local _, _, ended_at, keep_until = struct.unpack('>BBI4I4', value)
    return ended_at, keep_until
end

-- The second of the last use, from a field of the activity key; 0: none is noted.
local function seen_at(value)
    return value and struct.unpack('>I4', value) or 0
end

-- Whether the record alone says that the session was idle for too long, so that its activity must
-- be read. While the slot migrates the activity may be on the other node: the client then retries.
local function needs_activity(record, now)
    return record.idle > 0 and live_ends_at(record) <= now and record.absolute_end > now
end

local ACTIVITY_UNKNOWN = 'TRYAGAIN the activity of a session cannot be read while its slot migrates'

-- The fields beside a session's record: its details, and its step-up.
local function details_field(session_id)
    return session_id .. 'd'
end

local function elevation_field(session_id)
    return session_id .. 'e'
end
