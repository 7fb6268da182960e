-- Loads one subject at the start of a script, and settles it at the end. A script that changes a
-- subject calls ``load()`` first and ``settle()`` last; changes in between go both to memory and to
-- the store. ``change_arguments`` states the keys and the first argument of such a script.
--
-- Needs    activity, bans, change_arguments, clock, described_session, generation, history,
--          monotonic_time, online_index, operations, record, sessions, subject_hash,
--          subject_summary, tombstones
-- Gives    load, settle
--@include activity
--@include bans
--@include change_arguments
--@include clock
--@include described_session
--@include generation
--@include history
--@include monotonic_time
--@include online_index
--@include operations
--@include record
--@include sessions
--@include subject_hash
--@include subject_summary
--@include tombstones

local loaded -- the number of fields

-- Read all fields, and bury the sessions that have reached their end or were opened before the
-- cutoff.
local function load()
    local flat = redis.call('HGETALL', KEY)
    loaded = #flat / 2
    for index = 1, #flat, 2 do
        fields[flat[index]] = flat[index + 1]
    end
    flat = ACTIVITY and redis.call('HGETALL', ACTIVITY) or {}
    for index = 1, #flat, 2 do
        activity[flat[index]] = seen_at(flat[index + 1])
    end
    keep_time_forward()
    local live = live_sessions()
    for _, session in ipairs(live) do
        if not ACTIVITY and needs_activity(session.record, now) then
            error({err = ACTIVITY_UNKNOWN})
        end
    end
    drop_ended_bans()
    fit_history()
    local alive = 0
    for _, session in ipairs(live) do
        local record = session.record
        local ends_at = live_ends_at(record)
        local reason, at = nil, now
        if ends_at <= now then
            reason, at = record.absolute_end == ends_at and EXPIRED or IDLE, ends_at
        elseif record.created < cutoff then
            reason = REVOKED
        end
        if reason then
            bury(session.id, reason, at, '')
            note(EVENT_OF_REASON[reason], session.id, at, 1, '', '')
        else
            alive = alive + 1
        end
    end
    if alive == 0 then
        drop('c') -- live claims go with the last session, before a login brings the next one
    end
end

-- The second in which the last of ``live`` ends; 0: none is live.
local function latest_end(live)
    local latest = 0
    for _, session in ipairs(live) do
        latest = math.max(latest, last_end(session.record))
    end
    return latest
end

-- Expire the key at the second ``latest``, later if bans, the generation or the history need it. A
-- server deletes keys by its own clock: sessions that it deletes too early are opened again, and a
-- ban must not go with them, so one whose clock is up to a day ahead keeps it.
local BAN_MARGIN_SECONDS = 86400
local function settle_key(latest)
    -- What a later release wrote is neither read nor thrown away.
    local for_good, foreign = false, #foreign_sessions() > 0
    for _, ban in pairs(read_bans()) do
        latest = math.max(latest, ban.u + BAN_MARGIN_SECONDS)
        for_good = for_good or ban.u == 0
    end
    if latest_generation() > 0 then
        latest = math.max(latest,
            math.ceil(latest_generation() / 1000) + math.max(generation_seconds, keep_seconds))
    end
    if history_seconds > 0 and last_line() > 0 then
        latest = math.max(latest, last_line()) + history_seconds
    end
    if for_good or foreign then
        redis.call('PERSIST', KEY)
    elseif latest > now then
        -- Without the activity only a later end is certain.
        local expires_at = on_server_clock(latest, now, server_ms)
        if ACTIVITY or redis.call('TTL', KEY) + math.floor(server_ms / 1000) < expires_at then
            redis.call('EXPIREAT', KEY, expires_at)
        end
    else
        redis.call('DEL', KEY)
    end
end

-- Drop what nobody needs any more, and let the key expire with the last thing that is needed.
-- ``fresh``: as for settle_tombstones. Returns the number of live sessions.
local function settle(fresh)
    local latest = math.max(settle_tombstones(fresh), settle_operations())
    local live = live_sessions()
    local online_until = latest_end(live)
    if #live > 0 then
        -- Kept past the end, so that a token can be told why its session ended.
        latest = math.max(latest, online_until + keep_seconds)
    end
    if #live == 0 then
        drop('c')
    end
    settle_summary(loaded)
    settle_key(latest)
    settle_activity()
    settle_index(math.min(#live, PER_SUBJECT - 1), online_until)
    return #live
end
