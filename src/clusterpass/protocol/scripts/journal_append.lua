#!lua flags=allow-oom
-- Write an ending into a journal.
--
-- KEYS     1 journal
-- ARGV     1 id of the entry   2 entry (see journal)   3 most entries
-- Returns  status
-- Status   OK        the journal holds the entry
--          MISMATCH  the id belongs to another request
--          FULL      the journal has the most entries already
--
-- A repetition writes again, so that WAIT has a write to wait for. The journal need not be filled:
-- two of the three journals confirm an entry, so anybody who reads two filled ones finds it in one.
--@include journal

local FINGERPRINT_BYTES, HEAD_BYTES = 8, 12

-- Whether an entry says when the owner first carried it out: that stands.
local function has_time(entry)
    return cjson.decode(string.sub(entry, HEAD_BYTES + 1))[3] ~= cjson.null
end

local id, entry = ARGV[1], ARGV[2]
local known = redis.call('HGET', JOURNAL, entry_field(id))
if known and string.sub(known, 1, FINGERPRINT_BYTES) ~= string.sub(entry, 1, FINGERPRINT_BYTES) then
    return 'MISMATCH'
end
if not known and tonumber(redis.call('HGET', JOURNAL, 'n') or '0') >= tonumber(ARGV[3]) then
    return 'FULL'
end
if known and has_time(known) then
    entry = known
end
redis.call('HSET', JOURNAL, entry_field(id), entry)
if known ~= entry then
    if not known then
        redis.call('HINCRBY', JOURNAL, 'n', 1)
    end
    publish(id)
end
return 'OK'
