#!lua flags=allow-oom
-- Remove entries from a journal that their own shard has confirmed, or whose time is over.
--
-- KEYS     1 journal
-- ARGV     ids of entries
-- Returns  the number of entries that were removed
--@include journal

local removed = 0
for _, id in ipairs(ARGV) do
    if redis.call('HDEL', JOURNAL, entry_field(id)) == 1 then
        removed = removed + 1
        redis.call('HINCRBY', JOURNAL, 'n', -1)
        publish(id)
    end
end
return removed
