#!lua flags=no-writes
-- Read entries of the audit trail.
--
-- KEYS     1 stream
-- ARGV     1 'after' or 'before'   2 the id from which to read ('': from the end)   3 most entries
-- Returns  {{id, {'n', number, 'e', entry, 'h', chain}}, ...}: 'after' from the oldest on, 'before'
--          from the latest on

if ARGV[1] == 'before' then
    local from = ARGV[2] == '' and '+' or '(' .. ARGV[2]
    return redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', ARGV[3])
end
local from = ARGV[2] == '' and '-' or '(' .. ARGV[2]
return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[3])
