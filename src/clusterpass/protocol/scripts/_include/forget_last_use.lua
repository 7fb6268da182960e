-- Forget when a session was last used, as recorded for its old tokens. A refresh and a step-up call
-- it: both replace the tokens, and count as a use themselves.
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
