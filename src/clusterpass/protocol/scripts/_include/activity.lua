-- The activity key: when sessions were last used. It is apart from the sessions, so that noting a
-- use does not invalidate the caches that watch them.
--
-- Needs    arguments, fields, record, sessions
-- Gives    mark_active, settle_activity
--@include arguments
--@include fields
--@include record
--@include sessions

-- Note that a session is used now.
local function mark_active(session_id)
    if ACTIVITY then
        activity[session_id] = now
        redis.call('HSET', ACTIVITY, session_id, struct.pack('>I4', now))
    end
end

-- Drop what is noted of sessions that have ended or were refreshed since.
local function settle_activity()
    local latest = 0
    for session_id, seen in pairs(activity) do
        local value = fields[session_id]
        if value and is_live(value) and read_live(session_id).refreshed < seen then
            latest = math.max(latest, live_ends_at(read_live(session_id)))
        else
            activity[session_id] = nil
            redis.call('HDEL', ACTIVITY, session_id)
        end
    end
    if latest > 0 then
        redis.call('EXPIREAT', ACTIVITY, latest + keep_seconds)
    end
end
