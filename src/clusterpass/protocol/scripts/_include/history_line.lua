-- A line of the history:
--
--   event 1 | at 4 | count 2 | session id 16 | length of the address 1 | address | text
--
-- Needs    record
-- Gives    the events by number; history_field, pack_line
--@include record

local LOGIN, REFRESH, LOGOUT, REPLACEMENT, REVOCATION, BAN, UNBAN, REUSE = 1, 2, 3, 4, 5, 6, 7, 8
local ELEVATION, IMPERSONATION, CLAIMS_CHANGE, EXPIRY, IDLENESS = 9, 10, 11, 12, 13
local REFUSAL, PASSWORD_CHANGE = 14, 15
local LONGEST_ENTRY = 64

-- The field of line number ``index`` of the ring.
local function history_field(index)
    return 'h' .. string.char(index)
end

local function pack_line(event, at, count, session_id, address, text)
    local head = struct.pack('>BI4I2', event, at, math.min(count, 65535)) .. session_id
        .. struct.pack('>B', #address) .. address
    return head .. string.sub(text, 1, LONGEST_ENTRY - #head)
end
