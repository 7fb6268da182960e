#!lua flags=allow-oom
-- Let a session end earlier; a later end is ignored.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 session id   3 seconds from now to the end (may be empty)
--          4 idle seconds (may be empty)
-- Returns  the session as described
--@include subject

load()
local session_id = ARGV[2]
local value = fields[session_id]
if value and is_live(value) then
    local record = read_live(session_id)
    if ARGV[3] ~= '' then
        record.absolute_end = math.min(record.absolute_end, now + tonumber(ARGV[3]))
    end
    if ARGV[4] ~= '' then
        local idle = tonumber(ARGV[4])
        record.idle = record.idle == 0 and idle or math.min(record.idle, idle)
    end
    put(session_id, pack_live(record))
end
settle()
return described(session_id)
