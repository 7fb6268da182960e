-- The online index of the slot: which of its subjects have live sessions.
--
-- Needs    arguments, clock, scores
-- Gives    settle_index
--@include arguments
--@include clock
--@include scores

-- Enter the subject with its number of live sessions, ``ends_at`` the second in which the last of
-- them ends, and take out up to a hundred subjects whose sessions have ended.
local function settle_index(live, ends_at)
    if not INDEX then
        return
    end
    local bound = '(' .. string.format('%.0f', (now + 1) * PER_SUBJECT)
    local delta = 0
    local before = redis.call('ZSCORE', INDEX, subject_name)
    if before then
        delta = delta - tonumber(before) % PER_SUBJECT
    end
    if live > 0 then
        local score = string.format('%.0f', ends_at * PER_SUBJECT + live)
        redis.call('ZADD', INDEX, score, subject_name)
        delta = delta + live
    elseif before then
        redis.call('ZREM', INDEX, subject_name)
    end
    local first = string.format('%.0f', FIRST_SCORE)
    local ended = redis.call('ZRANGEBYSCORE', INDEX, first, bound, 'WITHSCORES', 'LIMIT', 0, 100)
    for index = 1, #ended, 2 do
        redis.call('ZREM', INDEX, ended[index])
        delta = delta - tonumber(ended[index + 1]) % PER_SUBJECT
    end
    if delta ~= 0 then
        redis.call('ZINCRBY', INDEX, delta, '')
    end
    local last = redis.call('ZREVRANGE', INDEX, 0, 0, 'WITHSCORES')
    if last[1] == '' then
        redis.call('DEL', INDEX)
    elseif last[1] then
        local ends_at = math.floor(tonumber(last[2]) / PER_SUBJECT)
        redis.call('EXPIREAT', INDEX, on_server_clock(ends_at, now, server_ms))
    end
end
