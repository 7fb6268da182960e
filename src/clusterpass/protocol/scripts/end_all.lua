#!lua flags=allow-oom
-- End all sessions of a subject, all but one, or those of one kind of device.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 session id to keep (may be empty)   3 reason by number (see record)
--          4 address   5 note   6 '*' or the kind of device
--          7 milliseconds: only the sessions opened up to then ('': now)
-- Returns  {status, milliseconds of the end, {session id, ...} ended}
-- Status   OK        the sessions have ended, as far as there were any
--          MISMATCH  the id of the operation belongs to another request; nothing was changed
--
-- The generation is raised, or that of the kind of device, even when no session was live. A repeated
-- operation answers what the first run answered.
--@include repeats
--@include subject

load()
if mismatched() then
    settle()
    return {'MISMATCH', now_ms, {}}
end
local _, ids, at_ms = repeated()
if not ids then
    local up_to = tonumber(ARGV[7]) or now_ms
    local leaving = {}
    for _, session in ipairs(ARGV[6] == '*' and all_sessions() or live_sessions()) do
        -- A revocation that is carried out again, with its time, spares the logins after that time.
        local is_old = ARGV[7] == '' or not session.record or session.record.created <= up_to
        local is_alike = ARGV[6] == '*' or device_type(session.record) == ARGV[6]
        if is_old and is_alike and session.id ~= ARGV[2] then
            leaving[#leaving + 1] = session
        end
    end
    end_sessions(leaving, tonumber(ARGV[3]), ARGV[4], ARGV[5])
    if ARGV[6] == '*' then
        raise_generation(up_to)
    else
        raise_kind_generation(ARGV[6], up_to)
    end
    ids = session_ids(leaving)
    remember(0, ids)
end
settle()
return {'OK', at_ms or now_ms, ids}
