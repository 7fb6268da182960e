-- What an exchange and a step-up do with the note of a session's use: the session was used now, and
-- the note is of the tokens before.
--
-- Needs    change_arguments, subject_hash
-- Gives    forget_use
--@include change_arguments
--@include subject_hash

local function forget_use(session_id)
    if activity[session_id] then
        activity[session_id] = nil
        redis.call('HDEL', ACTIVITY, session_id)
    end
end
