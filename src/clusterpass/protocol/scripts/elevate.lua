#!lua
-- Note that the user of a session was authenticated again, more strongly, for a while.
--
-- KEYS     see subject
-- ARGV     1 see subject   2 session id   3 seconds   4 level NUL methods   5 address
--          6 line for the history
-- Returns  {'OK', 'IMPERSONATED' or 'ENDED', the session (see subject)}
--@include record
--@include subject

load()
local session_id = ARGV[2]
local value = fields[session_id]
local status = 'ENDED'
if value and is_live(value) then
    if has_flag(parse_live(value), IMPERSONATED) then
        status = 'IMPERSONATED'
    else
        status = 'OK'
        put(elevation_field(session_id),
            struct.pack('>I4I4', now, now + tonumber(ARGV[3])) .. ARGV[4])
        mark_active(session_id)
        note(ELEVATION, session_id, now, 1, ARGV[5], ARGV[6])
    end
end
settle()
return {status, described(session_id)}
