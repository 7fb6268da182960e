#!lua
-- Append entries to the audit trail, and remove those that are too old or too many.
--
-- KEYS     1 stream
-- ARGV     1 most entries   2 seconds for which entries are kept
--          3 entry   4 SHA-256 of the entry in hexadecimal digits   5 entry   6 SHA-256 ...
-- Returns  {number of the last entry, its chain}
--
-- Each entry has the fields n (its number), e (its text) and h (its chain: the SHA-1 of the chain
-- before it and the SHA-256 of its text). What SHA-1 is given has no part that anybody can choose.
-- The latest entry is never removed, so that numbers and chain go on.

local latest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local number, chain = 0, ''
if latest then
    local fields = latest[2]
    number, chain = tonumber(fields[2]), fields[6]
end
for index = 3, #ARGV, 2 do
    number = number + 1
    chain = redis.sha1hex(chain .. ARGV[index + 1])
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
        'n', number, 'e', ARGV[index], 'h', chain)
end
local oldest = 1000 * (tonumber(redis.call('TIME')[1]) - tonumber(ARGV[2]))
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', math.max(oldest, 0)))
return {number, chain}
