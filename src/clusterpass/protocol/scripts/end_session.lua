#!lua flags=allow-oom
-- End one session of a subject, and leave a tombstone.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 session id   3 reason by number (see record)   4 address   5 note
-- Returns  {now in milliseconds, status}
-- Status   ENDED     the session was live
--          ALREADY   the session had ended or expired
--          UNKNOWN   there is no such session
--          MISMATCH  the id of the operation belongs to another request; nothing was changed
--
-- A repeated operation answers what the first run answered. A live session is ended all the same.
--@include repeats
--@include subject

local UNKNOWN, ALREADY, ENDED = 0, 1, 2
local NAMES = {[UNKNOWN] = 'UNKNOWN', [ALREADY] = 'ALREADY', [ENDED] = 'ENDED'}

load()
if mismatched() then
    settle()
    return {now_ms, 'MISMATCH'}
end
local session_id = ARGV[2]
local value = fields[session_id]
local result
if value and not is_tombstone(value) then
    end_sessions({{id = session_id}}, tonumber(ARGV[3]), ARGV[4], ARGV[5])
    result = ENDED
    remember(result, {})
else
    if value then
        put(session_id, value) -- a write for WAIT to wait for
    end
    result = repeated()
    if not result then
        result = value and ALREADY or UNKNOWN
        remember(result, {})
    end
end
settle(session_id)
return {now_ms, NAMES[result]}
