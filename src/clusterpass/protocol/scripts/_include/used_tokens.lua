-- The note of which of a session's latest tokens were used, stored behind the second of the last
-- use:
--
--   second 4 | used 1 (missing: none)
--
-- A session may have two lines of refresh tokens: the record's own, and the one before a step-up.
-- For each line, the note says whether an access token from its last exchange was used. The next
-- exchange clears the note.
--
-- Needs    nothing
-- Gives    OWN_USED, OLDER_USED; used_in, has_used, pack_use
local OWN_USED, OLDER_USED = 1, 2

local function used_in(value)
    return value and string.byte(value, 5) or 0
end

local function has_used(used, which)
    return math.floor(used / which) % 2 == 1
end

local function pack_use(second, used)
    return struct.pack('>I4', second) .. (used > 0 and string.char(used) or '')
end
