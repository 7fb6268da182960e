-- The fast path of logins and refreshes, for a usual subject of which nothing has ended: they
-- neither load nor settle it. All other cases are left to the include ``subject``.
--
-- Needs    change_arguments, clock, history_line, online_index, online_scores, record, subject_hash,
--          subject_summary
-- Gives    glance, note_at_a_glance, settle_at_a_glance
--@include change_arguments
--@include clock
--@include history_line
--@include online_index
--@include online_scores
--@include record
--@include subject_hash
--@include subject_summary

-- Read what the summary does not tell: the fields of one session and of the subject, and where
-- ``has_lines``, the history. nil: there is no summary that can be believed.
local function read_few(session_id, has_lines)
    local summary = INDEX and history_entries > 0 and redis.call('HGET', KEY, 's')
    if not summary then
        return nil
    end
    local names = {session_id, details_field(session_id), elevation_field(session_id), 'c', 'b',
        'g', 't', 'h'}
    for index = 0, has_lines and history_entries - 1 or -1 do
        names[#names + 1] = history_field(index)
    end
    local values = redis.call('HMGET', KEY, unpack(names))
    for index, name in ipairs(names) do
        fields[name] = values[index] or nil
    end
    local score = redis.call('ZSCORE', INDEX, subject_name)
    return score and read_summary(summary, tonumber(score) % PER_SUBJECT)
end

local function read_all()
    local flat = redis.call('HGETALL', KEY)
    for index = 1, #flat, 2 do
        fields[flat[index]] = flat[index + 1]
    end
    return survey()
end

-- What is known of the subject (see survey); nil: it has to be loaded. now_ms and now are then
-- raised to the latest time that the subject has seen.
local function glance(session_id, has_lines)
    if not ACTIVITY or operation ~= NO_OPERATION then
        return nil
    end
    local flat = redis.call('HGETALL', ACTIVITY)
    local used = 0
    for index = 1, #flat, 2 do
        local seen = seen_at(flat[index + 1])
        activity[flat[index]] = seen
        used = math.max(used, seen)
    end
    local found = read_few(session_id, has_lines) or read_all()
    if not found or fields['b'] or fields['t'] or found.first_login < cutoff
        or found.tombstones > MOST_TOMBSTONES or found.operations > MOST_OPERATIONS
        or (found.live == 0 and fields['c']) then
        return nil
    end
    if fields['h'] and found.lines ~= history_entries
        and (found.lines > history_entries or tonumber(fields['h']) >= found.lines) then
        return nil -- the size of the ring has changed
    end
    local generation_ms = tonumber(fields['g'] or '0')
    local latest_ms = math.max(now_ms, found.latest_ms, generation_ms, used * 1000)
    if latest_ms > clock_ms + MOST_APART_MS or found.first_end <= latest_ms / 1000 then
        return nil
    end
    now_ms, now = latest_ms, math.floor(latest_ms / 1000)
    found.generation_ms = generation_ms
    return found
end

-- Store ``changes``, names and values in turn, and let the key expire as settle of subject does.
-- ``found``: what glance has found, brought up to date; at least one session is live.
local function settle_at_a_glance(found, changes)
    if found.count >= LEAST_FIELDS and INDEX and fields['h'] then
        changes[#changes + 1] = 's'
        changes[#changes + 1] = pack_summary(found)
    elseif fields['s'] then
        redis.call('HDEL', KEY, 's')
    end
    redis.call('HSET', KEY, unpack(changes))
    local latest = math.max(found.kept_until, found.online_until + keep_seconds)
    if found.generation_ms > 0 then
        latest = math.max(latest, math.ceil(found.generation_ms / 1000)
            + math.max(generation_seconds, keep_seconds))
    end
    if fields['h'] and history_seconds > 0 then
        latest = math.max(latest, found.last_line, now) + history_seconds
    end
    local expires_at = on_server_clock(latest, now, server_ms)
    if found.is_whole or redis.call('TTL', KEY) + math.floor(server_ms / 1000) < expires_at then
        redis.call('EXPIREAT', KEY, expires_at)
    end
    settle_index(math.min(found.live, PER_SUBJECT - 1), found.online_until)
end

-- Note an event in ``fields`` and ``changes``, in the line ``name`` (nil: the next one).
local function note_at_a_glance(changes, name, line)
    if not name then
        local number = (tonumber(fields['h']) or -1) + 1
        name, fields['h'] = history_field(number % history_entries), tostring(number)
        changes[#changes + 1] = 'h'
        changes[#changes + 1] = fields['h']
    end
    changes[#changes + 1] = name
    changes[#changes + 1] = line
end
