-- A journal: the endings that were acknowledged although their own shard could not confirm them.
--
-- Fields of the hash:
--
--   'h'              head: the number of the latest event; trimming never lowers it
--   'n'              the number of entries
--   'm'              mark: run id of the primary that wrote it, ':', its config epoch then
--   'l'              how old evidence may be, in milliseconds, for the whole namespace
--   'e' + id         an entry: fingerprint 8 | second until which it counts 4 | what to carry out
--   'p' + number     the id that an event is about: written where the entry is there, else trimmed
--
-- A journal is filled while its mark names the run of its primary, or a config epoch before that of
-- its primary: a promoted replica has all that was confirmed, a primary that was restarted may not.
--
-- Needs    nothing
-- Gives    JOURNAL, KEPT_EVENTS; entry_field, event_field, run_id, mark_now, is_filled, publish

local JOURNAL = KEYS[1]
local KEPT_EVENTS = 1000

local function entry_field(id)
    return 'e' .. id
end

local function event_field(number)
    return 'p' .. string.format('%.0f', number)
end

local function run_id()
    return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

local function config_epoch()
    return tonumber(string.match(redis.call('CLUSTER', 'INFO'), 'cluster_my_epoch:(%d+)'))
end

-- The mark that the primary would write now.
local function mark_now()
    return run_id() .. ':' .. string.format('%.0f', config_epoch())
end

local function is_filled()
    local mark = redis.call('HGET', JOURNAL, 'm')
    if not mark then
        return false
    end
    local run, epoch = string.match(mark, '(%x+):(%d+)')
    return run == run_id() or config_epoch() > tonumber(epoch)
end

-- Note that the entry ``id`` was written or trimmed.
local function publish(id)
    local head = redis.call('HINCRBY', JOURNAL, 'h', 1)
    redis.call('HSET', JOURNAL, event_field(head), id)
    redis.call('HDEL', JOURNAL, event_field(head - KEPT_EVENTS))
end
