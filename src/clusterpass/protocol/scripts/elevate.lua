#!lua
-- Note a step-up: the user of a session was authenticated again, more strongly, for a while.
--
-- KEYS     see arguments
-- ARGV     1 see arguments   2 session id   3 seconds   4 level NUL methods   5 address
--          6 line for the history
-- Returns  {status, the session as described}
-- Status   OK            the step-up is in force
--          IMPERSONATED  the session is an impersonation, which cannot step up
--          ENDED         the session is not live, or there is none
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
        if ACTIVITY then
            activity[session_id] = now
            redis.call('HSET', ACTIVITY, session_id, struct.pack('>I4', now))
        end
        note(ELEVATION, session_id, now, 1, ARGV[5], ARGV[6])
    end
end
settle()
return {status, described(session_id)}
