#!lua flags=allow-oom
-- End one session of a subject and leave a tombstone.
--
-- KEYS     see subject
-- ARGV     1 see subject   2 session id   3 reason (see record)   4 address   5 note
-- Returns  'ENDED'    it was live
--          'ALREADY'  it was ended or had expired
--          'UNKNOWN'  there is no such session
--@include record
--@include subject

load()
local session_id = ARGV[2]
local value = fields[session_id]
local status = 'UNKNOWN'
if value and is_tombstone(value) then
    put(session_id, value) -- a write for WAIT to wait for
    status = 'ALREADY'
elseif value then
    end_sessions({{id = session_id}}, tonumber(ARGV[3]), ARGV[4], ARGV[5])
    status = 'ENDED'
end
settle(session_id)
return status
