#!lua
-- Lift a ban.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 scope ('': the ban from everything)   3 line for the history
-- Returns  status
-- Status   0  there was no such ban
--          1  the ban is lifted
--          2  the id of the operation belongs to another request; nothing was changed
--
-- A repeated operation answers what the first run answered.
--@include repeats
--@include subject

load()
if mismatched() then
    settle()
    return 2
end
local found = repeated()
if not found then
    local bans = read_bans()
    found = bans[ARGV[2]] and 1 or 0
    bans[ARGV[2]] = nil
    if found == 1 then
        write_bans(bans)
        note(UNBAN, NO_SESSION, now, 1, '', ARGV[3])
    end
    remember(found, {})
end
settle()
return found
