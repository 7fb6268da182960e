-- What an exchange and a step-up do with the note of a session's use: the session was used now, and
-- the note is of the tokens before.
--
-- Needs    arguments, subject_fields
-- Gives    forget_use
--@include arguments
--@include subject_fields

local function forget_use(session_id)
    if activity[session_id] then
        activity[session_id] = nil
        redis.call('HDEL', ACTIVITY, session_id)
    end
end
