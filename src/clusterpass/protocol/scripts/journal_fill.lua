#!lua flags=allow-oom
-- Copy entries of the other journals into one that may have lost some, and mark it as filled.
--
-- KEYS     1 journal
-- ARGV     1 mark that the caller has seen ('': none)   2 mark of a filled journal, as seen
--          3 milliseconds that evidence may be old, for a journal that does not say so
--          4 '1' with the last entries, to mark the journal   from 5 on: id, entry, id, entry ...
-- Returns  status
-- Status   OK       the entries are in the journal
--          CHANGED  one of the marks is different by now; nothing was changed
--@include journal

if (redis.call('HGET', JOURNAL, 'm') or '') ~= ARGV[1] or own_mark() ~= ARGV[2] then
    return 'CHANGED'
end
for index = 5, #ARGV, 2 do
    local id = ARGV[index]
    if redis.call('HSETNX', JOURNAL, entry_field(id), ARGV[index + 1]) == 1 then
        redis.call('HINCRBY', JOURNAL, 'n', 1)
        publish(id)
    end
end
if ARGV[4] == '1' then
    redis.call('HSETNX', JOURNAL, 'l', ARGV[3])
    redis.call('HSET', JOURNAL, 'm', ARGV[2])
end
return 'OK'
