#!lua
-- Note that the user of a session was authenticated again, more strongly, for a while.
--
-- KEYS     1 sessions   2 online index (may be missing)
-- ARGV     1 see subject   2 session id   3 seconds   4 level NUL methods   5 address
--          6 line for the history
-- Returns  {'OK', 'IMPERSONATED' or 'ENDED', now in milliseconds, record, details, elevation,
--           live claims, bans}
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
        note(ELEVATION, session_id, now, 1, ARGV[5], ARGV[6])
    end
end
settle()
return {
    status, now_ms, fields[session_id] or '', fields[details_field(session_id)] or '',
    fields[elevation_field(session_id)] or '', fields['c'] or '', fields['b'] or '',
}
