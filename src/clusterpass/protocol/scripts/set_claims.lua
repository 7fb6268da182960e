#!lua
-- Replace the live claims of a subject; they go with the subject's last session.
--
-- KEYS     see arguments
-- ARGV     1 see arguments   2 claims as JSON ('': none)
-- Returns  the number of live sessions that the claims now belong to
--@include subject
--@include repeats

load()
if repeated() then
    return settle()
end
if #live_sessions() > 0 and (fields['c'] or '') ~= ARGV[2] then
    if ARGV[2] == '' then
        drop('c')
    else
        put('c', ARGV[2])
    end
    note(CLAIMS_CHANGE, NO_SESSION, now, 1, '', '')
    remember(0, {})
elseif fields['c'] then
    put('c', fields['c']) -- a write for WAIT to wait for
end
return settle()
