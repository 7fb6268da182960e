-- The activity key: when sessions were last used. It is apart from the sessions, so that noting a
-- use does not invalidate the caches that watch them.
--
-- Needs    change_arguments, clock, record, sessions, subject_hash
-- Gives    settle_activity
--@include change_arguments
--@include clock
--@include record
--@include sessions
--@include subject_hash

-- Drop what is noted of sessions that have ended or were refreshed since.
local function settle_activity()
    local latest = 0
    for session_id, seen in pairs(activity) do
        local value = fields[session_id]
        if value and is_live(value) and read_live(session_id).refreshed <= seen then
            latest = math.max(latest, live_ends_at(read_live(session_id)))
        else
            activity[session_id] = nil
            redis.call('HDEL', ACTIVITY, session_id)
        end
    end
    if latest > 0 then
        redis.call('EXPIREAT', ACTIVITY,
            on_server_clock(latest + keep_seconds, now, server_ms))
    end
end
