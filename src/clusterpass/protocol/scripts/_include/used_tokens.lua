-- Which of a session's latest tokens are noted as used, behind the second of the last use:
--
--   second 4 | used 1 (missing: none)
--
-- Of each line of refresh tokens (the record's own, and the one before a step-up) the note says
-- whether an access token of the line's last exchange was used. The next exchange forgets it.
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
