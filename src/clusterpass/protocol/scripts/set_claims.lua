#!lua
-- Replace the live claims of a subject, which are dropped when the subject's last session ends.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 claims as JSON ('': none)
-- Returns  {status, number of live sessions that the claims now belong to,
--           1 if the claims differ from those before the first run, else 0}
-- Status   OK        the claims are stored if there is a live session
--          MISMATCH  the id of the operation belongs to another request; nothing was changed
--@include repeats
--@include subject

local CHANGED, UNCHANGED = 0, 1 -- the result that is kept

load()
if mismatched() then
    return {'MISMATCH', settle(), 0}
end
local result = repeated()
if not result and #live_sessions() > 0 then
    result = UNCHANGED
    if (fields['c'] or '') ~= ARGV[2] then
        result = CHANGED
        if ARGV[2] == '' then
            drop('c')
        else
            put('c', ARGV[2])
        end
        note(CLAIMS_CHANGE, NO_SESSION, now, 1, '', '')
    end
    remember(result, {}) -- also without a change: a late repetition must not undo another one
end
return {'OK', settle(), result == CHANGED and 1 or 0}
