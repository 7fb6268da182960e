#!lua
-- Note in the history that somebody could not log in as the subject.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 address   3 line for the history
-- Returns  status
-- Status   0  nothing is known of the subject, so nothing was noted
--          1  noted
--
-- All refusals share one line, which counts them. What is known of a subject is not kept for longer by
-- them: strangers could keep it for ever.
--@include subject

load()
if not next(fields) then
    return 0
end
note(REFUSAL, NO_SESSION, now, 1, ARGV[2], ARGV[3])
settle()
return 1
