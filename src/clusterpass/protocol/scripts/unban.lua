#!lua
-- Lift a ban.
--
-- KEYS     see subject
-- ARGV     1 see subject   2 scope ('' : the ban from everything)   3 line for the history
-- Returns  1 when there was one, otherwise 0
--@include record
--@include subject

load()
local found = repeated()
if not found then
    local bans = read_bans()
    found = bans[ARGV[2]] and 1 or 0
    bans[ARGV[2]] = nil
    if found == 1 then
        write_bans(bans)
        note(UNBAN, NO_SESSION, now, 1, '', ARGV[3])
        remember(found, {})
        keeps_operations = true -- a ban that is repeated late must not come back
    end
end
settle()
return found
