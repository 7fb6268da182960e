#!lua flags=allow-oom
-- Ban a subject from everything, which ends all sessions, or from one scope.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 scope ('': everything)   3 level   4 seconds (0: for good)
--          5 reason   6 most bans   7 note for the tombstones   8 line for the history
--          9 milliseconds at which the ban begins ('': now)
-- Returns  {status, milliseconds of the ban, {session id, ...} ended, bans as stored}
-- Status   OK        the subject is banned, or the ban was over before it was carried out
--          FULL      the subject has the most bans already; nothing was changed
--          MISMATCH  the id of the operation belongs to another request; nothing was changed
--
-- A ban from everything raises the generation. One that is carried out so late that it is over ends
-- the sessions that it would have ended in time, and spares those that were opened since it began. A
-- repeated operation answers what the first run answered, with the bans of today; after FULL it tries
-- again.
--@include repeats
--@include subject

local DONE, REFUSED = 0, 1

-- The sessions that end: all, or only those that were opened up to a time in milliseconds.
local function sessions_up_to(latest_ms)
    local leaving = {}
    for _, session in ipairs(all_sessions()) do
        if not latest_ms or not session.record or session.record.created <= latest_ms then
            leaving[#leaving + 1] = session
        end
    end
    return leaving
end

load()
if mismatched() then
    settle()
    return {'MISMATCH', now_ms, {}, fields['b'] or ''}
end
local result, ids, at_ms = repeated()
if result ~= DONE then
    local scope, bans = ARGV[2], read_bans()
    local count = 0
    for each in pairs(bans) do
        count = count + (each ~= '' and 1 or 0)
    end
    -- A ban from everything always finds room.
    if scope ~= '' and not bans[scope] and count >= tonumber(ARGV[6]) then
        remember(REFUSED, {})
        settle()
        return {'FULL', now_ms, {}, fields['b'] or ''}
    end
    local seconds = tonumber(ARGV[4])
    local begins_ms = tonumber(ARGV[9]) or now_ms
    local begins = math.floor(begins_ms / 1000)
    local is_over = seconds > 0 and begins + seconds <= now
    if not is_over then
        bans[scope] = {
            l = tonumber(ARGV[3]), u = seconds > 0 and begins + seconds or 0, r = ARGV[5],
            a = begins,
        }
        write_bans(bans)
    end
    local leaving = {}
    if scope == '' then
        leaving = sessions_up_to(is_over and begins_ms)
        raise_generation(is_over and begins_ms or now_ms)
    end
    for _, session in ipairs(leaving) do
        bury(session.id, BANNED, now, ARGV[7])
    end
    if not is_over or #leaving > 0 then
        note(BAN, NO_SESSION, now, math.max(#leaving, 1), '', ARGV[8])
    end
    ids = session_ids(leaving)
    remember(DONE, ids)
    at_ms = now_ms
end
settle()
return {'OK', at_ms, ids, fields['b'] or ''}
