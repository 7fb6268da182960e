#!lua
-- Note that a session is in use.
--
-- KEYS     1 sessions   2 online index (may be missing)
-- ARGV     1 see subject   2 session id
-- Returns  1 when the session lives, otherwise 0
--@include record
--@include subject

load()
local value = fields[ARGV[2]]
if not value or is_tombstone(value) then
    settle()
    return 0
end
local record = parse_live(value)
record.active = math.min(math.max(now - record.refreshed, 0), 0xffffff)
put(ARGV[2], pack_live(record))
settle()
return 1
