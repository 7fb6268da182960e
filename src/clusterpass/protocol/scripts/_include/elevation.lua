-- A step-up, as a session's field of elevation holds it:
--
--   authenticated at 4 | ends at 4 | 0 1 | flags 1 | id 8 | first rotation 4 |
--   refresh token before it: rotation 4, digest 16, refreshed 4, burst 1, burst span 2 |
--   level NUL methods
--
-- The record holds the refresh token that the step-up issued, whose rotation is far ahead: a
-- rotation from ``first rotation`` on tells a token of the step-up from an older one. The token
-- before it (``older``) stays exchangeable beside it, until one of the two is exchanged later than
-- the grace after the step-up. A client that never received the tokens of its step-up goes on with
-- the one it has, and no older token ever leads to those of the step-up.
--
-- Schema 0 had the level right behind ``ends at``, which is never a NUL, and bound no tokens.
--
-- Needs    record, subject_hash
-- Gives    ROTATIONS_APART; read_elevation, put_elevation, next_rotation
--@include record
--@include subject_hash

local ELEVATION_FORMAT, ELEVATION_BYTES = '>I4I4BBc8I4I4c16I4BI2', 49
local KEEPS_OLDER, ENDS_OLDER, OLDER_WAS_USED = 1, 2, 4
local NOTHING_OLDER = {
    rotation = 0, digest = string.rep('\0', 16), refreshed = 0, burst = 0, burst_span = 0,
}
local ROTATIONS_APART = 65536
local LAST_ROTATION = 4294967294

-- The latest step-up of a session; nil: there is none that binds tokens. ``older``: the refresh
-- token before it, with the members that a record has for its own; nil: not exchangeable.
-- ``ends_older``: whether the step-up ended the tokens that were issued before it. ``older_used``:
-- whether an access token of the last exchange before it was used, as far as was known at the last
-- exchange of the record's own token (see use).
local function read_elevation(session_id)
    local value = fields[elevation_field(session_id)]
    if not value or string.byte(value, 9) ~= 0 then
        return nil
    end
    local found, older = {}, {}
    local flags, _
    found.at, found.ends_at, _, flags, found.id, found.first, older.rotation, older.digest,
        older.refreshed, older.burst, older.burst_span = struct.unpack(ELEVATION_FORMAT, value)
    found.proved = string.sub(value, ELEVATION_BYTES + 1)
    found.ends_older = flags % OLDER_WAS_USED >= ENDS_OLDER
    found.older_used = flags >= OLDER_WAS_USED
    if flags % ENDS_OLDER == KEEPS_OLDER then
        found.older = older
    end
    return found
end

local function put_elevation(session_id, elevation)
    local older = elevation.older or NOTHING_OLDER
    local flags = (elevation.older and KEEPS_OLDER or 0) + (elevation.ends_older and ENDS_OLDER or 0)
        + (elevation.older_used and OLDER_WAS_USED or 0)
    put(elevation_field(session_id), struct.pack(ELEVATION_FORMAT, elevation.at, elevation.ends_at,
        0, flags, elevation.id, elevation.first, older.rotation, older.digest, older.refreshed,
        older.burst, older.burst_span) .. elevation.proved)
end

-- The first rotation of a step-up after ``before`` (nil: none): ahead of every token so far.
local function next_rotation(record, before)
    local latest = math.max(record.rotation, before and before.first or 0)
    local room = math.floor((LAST_ROTATION - latest) / 2)
    return latest + math.max(1, math.min(ROTATIONS_APART, room))
end
