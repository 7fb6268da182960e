#!lua flags=allow-oom
-- End every session of a subject, or every one but one, or those of one kind of device.
--
-- KEYS     see subject
-- ARGV     1 see subject   2 session id to keep (may be empty)   3 reason (see record)
--          4 address   5 note   6 '*' or the kind of device
--          7 milliseconds: only those opened up to then ('' : now)
-- Returns  {when, in milliseconds, {session id, ...} that were live and are ended}
--          A repeated operation answers what it answered the first time.
--
-- Ending those of every kind raises the generation, whatever there was to end: a login that was
-- begun before can be told from one that was begun after.
--@include record
--@include subject

load()
local _, ids, at_ms = repeated()
if not ids then
    local up_to = tonumber(ARGV[7]) or now_ms
    local leaving = {}
    for _, session in ipairs(ARGV[6] == '*' and all_sessions() or live_sessions()) do
        -- With a time: what was lost since is carried out again, and spares who logged in meanwhile.
        local is_old = ARGV[7] == '' or not session.record or session.record.created <= up_to
        local is_alike = ARGV[6] == '*' or device_type(session.record) == ARGV[6]
        if is_old and is_alike and session.id ~= ARGV[2] then
            leaving[#leaving + 1] = session
        end
    end
    end_sessions(leaving, tonumber(ARGV[3]), ARGV[4], ARGV[5])
    if ARGV[6] == '*' then
        put('g', string.format('%.0f', math.max(generation() + 1, up_to)))
    end
    ids = session_ids(leaving)
    remember(0, ids)
end
settle()
return {at_ms or now_ms, ids}
