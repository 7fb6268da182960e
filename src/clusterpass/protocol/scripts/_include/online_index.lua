-- The online index of a slot, which lists the subjects of the slot that have live sessions.
--
-- Needs    change_arguments, clock, online_scores
-- Gives    settle_index
--@include change_arguments
--@include clock
--@include online_scores

-- Let the index expire when the sessions of its last subject end.
local function expire_index()
    local last = redis.call('ZREVRANGE', INDEX, 0, 0, 'WITHSCORES')
    if last[1] == '' then
        redis.call('DEL', INDEX)
    elseif last[1] then
        local ends_at = math.floor(tonumber(last[2]) / PER_SUBJECT)
        redis.call('EXPIREAT', INDEX, on_server_clock(ends_at, now, server_ms))
    end
end

-- Enter the subject with its number of live sessions, ``ends_at`` the second in which the last of
-- them ends, and take out up to a hundred subjects whose sessions have ended.
local function settle_index(live, ends_at)
    if not INDEX then
        return
    end
    local delta = 0
    local before = redis.call('ZSCORE', INDEX, subject_name)
    if before then
        delta = delta - tonumber(before) % PER_SUBJECT
    end
    local bound = '(' .. (now + 1) * PER_SUBJECT
    local ended = redis.call('ZRANGEBYSCORE', INDEX, FIRST_SCORE, bound, 'WITHSCORES', 'LIMIT', 0, 100)
    for index = 1, #ended, 2 do
        if ended[index] ~= subject_name then
            redis.call('ZREM', INDEX, ended[index])
            delta = delta - tonumber(ended[index + 1]) % PER_SUBJECT
        end
    end
    if live == 0 then
        if before then
            redis.call('ZREM', INDEX, subject_name)
        end
        if delta ~= 0 then
            redis.call('ZINCRBY', INDEX, delta, '')
        end
        expire_index()
        return
    end
    delta = delta + live
    local score = ends_at * PER_SUBJECT + live
    if delta == 0 then
        redis.call('ZADD', INDEX, score, subject_name)
    else
        local total = tonumber(redis.call('ZSCORE', INDEX, '') or 0) + delta
        redis.call('ZADD', INDEX, score, subject_name, total, '')
    end
    local expires_at = on_server_clock(ends_at, now, server_ms)
    if #ended > 0 or before and tonumber(before) > score then
        expire_index()
    elseif redis.call('TTL', INDEX) + math.floor(server_ms / 1000) < expires_at then
        redis.call('EXPIREAT', INDEX, expires_at)
    end
end
