#!lua flags=allow-oom
-- End every session of a subject, or every one but one, or those of one kind of device.
--
-- KEYS     see subject
-- ARGV     1 see subject   2 session id to keep (may be empty)   3 reason (see record)
--          4 address   5 note   6 '*' or the kind of device
-- Returns  the ids of the live sessions that were ended
--
-- Ending those of every kind raises the generation, whatever there was to end: a login that was
-- begun before can be told from one that was begun after.
--@include record
--@include subject

load()
local leaving = {}
for _, session in ipairs(ARGV[6] == '*' and all_sessions() or live_sessions()) do
    if session.id ~= ARGV[2] and (ARGV[6] == '*' or device_type(session.record) == ARGV[6]) then
        leaving[#leaving + 1] = session
    end
end
end_sessions(leaving, tonumber(ARGV[3]), ARGV[4], ARGV[5])
if ARGV[6] == '*' then
    put('g', string.format('%.0f', math.max(tonumber(fields['g'] or '0') + 1, now)))
else
    -- A repeated call finds nothing to end: write one field again, for WAIT to wait for.
    local name = next(fields)
    if name then
        put(name, fields[name])
    end
end
settle()
return session_ids(leaving)
