#!lua
-- Note a step-up: the user of a session was authenticated again, more strongly, for a while.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 session id   3 seconds   4 level NUL methods   5 address
--          6 line for the history   7 id of the step-up, 8 bytes   8 digest of its refresh token
--          9 whether it ends the tokens that were issued before it: 1 or 0
--          10 whether the user has changed the password in it: 1 or 0
-- Returns  {status, the session as described}
-- Status   OK            the step-up is in force
--          IMPERSONATED  the session is an impersonation, which cannot step up
--          ENDED         the session is not live, or there is none
--
-- A repeated call (same id) changes nothing: the answer is OK.
--@include elevation
--@include forget_last_use
--@include subject
--@include used_tokens

local session_id, id = ARGV[2], ARGV[7]
local used = used_in(ACTIVITY and redis.call('HGET', ACTIVITY, session_id))
load()
local value = fields[session_id]

local function step_up()
    local record, before = read_live(session_id), read_elevation(session_id)
    if before and before.id == id then
        put(session_id, value) -- a write for WAIT to wait for
        return
    end
    local elevation = {
        at = now, ends_at = now + tonumber(ARGV[3]), id = id, proved = ARGV[4],
        first = next_rotation(record, before),
        ends_older = ARGV[9] == '1' or (before and before.ends_older),
        older = {
            rotation = record.rotation, digest = record.digest, refreshed = record.refreshed,
            burst = record.burst, burst_span = record.burst_span,
        },
        older_used = has_used(used, OWN_USED),
    }
    if before and before.first == record.rotation then
        -- The tokens of the step-up before were not used: the client may not have received them.
        elevation.older = before.older
        elevation.older_used = before.older_used or has_used(used, OLDER_USED)
    end
    if elevation.ends_older then
        elevation.older = nil
    end
    put_elevation(session_id, elevation)
    record.digest, record.rotation, record.refreshed = ARGV[8], elevation.first, now
    record.burst, record.burst_span = 0, 0
    put(session_id, pack_live(record))
    forget_use(session_id)
    local event = ARGV[10] == '1' and PASSWORD_CHANGE or ELEVATION
    note(event, session_id, now, 1, ARGV[5], ARGV[6])
end

local status = 'ENDED'
if value and is_live(value) then
    if has_flag(read_live(session_id), IMPERSONATED) then
        status = 'IMPERSONATED'
    else
        status = 'OK'
        step_up()
    end
end
settle()
return {status, described(session_id)}
