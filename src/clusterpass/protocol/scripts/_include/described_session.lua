-- The form in which scripts return a session.
--
-- Needs    change_arguments, record, subject_hash
-- Gives    described
--@include change_arguments
--@include record
--@include subject_hash

-- {now in milliseconds, record, details, elevation, live claims, bans, second of its last use,
--  generation}; '' and 0: none
local function described(session_id)
    return {
        now_ms, fields[session_id] or '', fields[details_field(session_id)] or '',
        fields[elevation_field(session_id)] or '', fields['c'] or '', fields['b'] or '',
        activity[session_id] or 0, fields['g'] or '',
    }
end
