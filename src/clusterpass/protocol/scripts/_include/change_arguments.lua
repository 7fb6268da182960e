-- The keys and the first argument of every script that changes a subject.
--
-- KEYS     1 sessions   2 activity   3 online index of the slot
--          2 and 3 may be missing while the slot migrates, 3 also when the subject is not indexed:
--          what they hold is then left alone.
-- ARGV     1 seconds for which a tombstone is kept 4 | history entries 1 | seconds of history 4 |
--            sessions opened before this millisecond have ended 6 | id of the operation 8
--            (zeros: none) | fingerprint of what the operation asks for 8 |
--            second until which the operation is kept at least, 4 (0: no longer than others) |
--            milliseconds at which the call was made 6 (0: not told) |
--            whether most primaries agree with that time 1 |
--            seconds for which the generation is kept at least 4 | subject
--
-- Needs    clock
-- Gives    KEY, ACTIVITY, INDEX, NO_OPERATION; keep_seconds, history_entries, history_seconds, cutoff, operation,
--          fingerprint, operation_until, generation_seconds, subject_name; now_ms, now_part (of 32 in that
--          millisecond), now in seconds (load() of subject may raise them); clock_ms (now_ms before
--          that), server_ms
--
-- The script ends here with the error CLOCK where the time is in doubt.
--@include clock

local KEY, ACTIVITY, INDEX = KEYS[1], KEYS[2], KEYS[3]
local NO_OPERATION = string.rep('\0', 8)
local keep_seconds, history_entries, history_seconds, cutoff, operation, fingerprint,
    operation_until, called_ms, is_agreed, generation_seconds =
    struct.unpack('>I4BI4I6c8c8I4I6BI4', ARGV[1])
local subject_name = string.sub(ARGV[1], 47)
local clock_ms, now_part, server_ms = judged_milliseconds(called_ms, is_agreed)
if not clock_ms then
    return clocks_differ(server_ms - called_ms)
end
local now_ms = clock_ms
local now = math.floor(now_ms / 1000)
