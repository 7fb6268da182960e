-- A journal: the endings that were acknowledged although their own shard could not confirm them.
--
-- Fields of the hash:
--
--   'h'              head: the number of the latest event; trimming never lowers it
--   'n'              the number of entries
--   'm'              mark: run id of the primary that was filled, ':', its config epoch then
--   'l'              how old evidence may be, in milliseconds, for the whole namespace
--   'e' + id         an entry: fingerprint 8 | second until which it counts 4 | what to carry out
--   'p' + number     the id that an event is about: written where the entry is there, else trimmed
--
-- A journal is filled while its mark names the run and the config epoch of its primary. A primary
-- that was restarted may have lost entries, and so may a replica of it that was promoted since: only
-- the other journals can tell.
--
-- Needs    nothing
-- Gives    JOURNAL, KEPT_EVENTS; entry_field, event_field, own_mark, publish

local JOURNAL = KEYS[1]
local KEPT_EVENTS = 1000

local function entry_field(id)
    return 'e' .. id
end

local function event_field(number)
    return 'p' .. string.format('%.0f', number)
end

-- The mark that would tell that this primary is filled.
local function own_mark()
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    local epoch = string.match(redis.call('CLUSTER', 'INFO'), 'cluster_my_epoch:(%d+)')
    return run .. ':' .. epoch
end

-- Note that the entry ``id`` was written or trimmed.
local function publish(id)
    local head = redis.call('HINCRBY', JOURNAL, 'h', 1)
    redis.call('HSET', JOURNAL, event_field(head), id)
    redis.call('HDEL', JOURNAL, event_field(head - KEPT_EVENTS))
end
