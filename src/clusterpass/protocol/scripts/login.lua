#!lua
-- Open a session of a subject, within the policy.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments   2 session id   3 refresh digest   4 absolute seconds
--          5 idle seconds (0: no idle limit)   6 flags   7 device, as a record holds it
--          8 details as JSON (may be empty)   9 most sessions
--          10 most sessions of one kind of device (0: no limit)
--          11 overflow: 'oldest', 'least_recently_used' or 'refuse'
--          12 session to replace (may be empty)   13 expected generation (may be empty)
--          14 address   15 event   16 line for the history   17 note for tombstones of the replaced
--          18 millisecond in which another issuer opened the session ('': it is new)
-- Returns  {status, the session as described, {session id, ...} replaced,
--           all fields of the subject, all activity of the subject}; the last two only if REFUSED,
--           and the last three are missing where the fast path was taken
-- Status   OK         the session is open
--          BANNED     the subject is banned from everything
--          REFUSED    the subject has the most sessions already, and the policy refuses one more
--          OVERTAKEN  all sessions were revoked since the expected generation; or another issuer
--                     opened the session, and since then all sessions or those on its kind of
--                     device were revoked, or the policy's number of either was opened
--          SPENT      the operation has already opened a session that is gone, or was recorded as
--                     one that must open none
--
-- A repeated call (same session id) changes nothing and answers OK with the session as it is now: a
-- call that arrives late must neither undo a rotation nor bring an ended session back. An operation
-- that is named in the first argument opens one session, even when the store has forgotten it since;
-- with 0 absolute seconds it opens none, and none can be opened by it from then on.
--
-- Most logins end no other session, and find none that has ended: a glance at the subject suffices.
--@include change_arguments
--@include described_session
--@include fast_path
--@include record

local MOST_IMPERSONATIONS = 10
local session_id, device_record, flags = ARGV[2], ARGV[7], tonumber(ARGV[6])
local absolute_seconds, opened_ms = tonumber(ARGV[4]), tonumber(ARGV[18])

-- The record of a session that is opened at ``created``, in milliseconds. ``latest``: the order of
-- the latest login of a live session; 0: there is none.
local function new_record(created, latest)
    local record = {
        flags = flags, created = created, absolute_end = now + absolute_seconds, refreshed = now,
        idle = tonumber(ARGV[5]), rotation = 0, digest = ARGV[3], burst = 0, burst_span = 0,
        device = device_record, active = now,
    }
    -- Logins keep their order, even when another server's clock, which lags, is read after a failover.
    local order = created * 32 + now_part
    if latest >= order and not opened_ms then
        order = latest + 1
        if math.floor(latest / 32) <= clock_ms then
            order = math.min(order, created * 32 + 31) -- not ahead of a correct clock
        end
    end
    set_login_order(record, order)
    return record, order
end

local seen = absolute_seconds > 0 and ARGV[10] == '0' and ARGV[12] == '' and not opened_ms
    and not has_flag({flags = flags}, IMPERSONATED) and glance(session_id, false)
if seen and not fields[session_id] and seen.live < tonumber(ARGV[9])
    and (ARGV[13] == '' or seen.generation_ms <= tonumber(ARGV[13])) then
    local record, order = new_record(math.max(now_ms, cutoff, seen.generation_ms + 1), seen.order)
    local ends_at, changes = live_ends_at(record), {session_id, pack_live(record)}
    fields[session_id] = changes[2]
    if ARGV[8] ~= '' then
        fields[details_field(session_id)] = ARGV[8]
        changes[3], changes[4] = details_field(session_id), ARGV[8]
    end
    if history_entries > 0 then
        note_at_a_glance(changes, nil,
            pack_line(tonumber(ARGV[15]), now, 1, session_id, ARGV[14], ARGV[16]))
    end
    seen.live, seen.count = seen.live + 1, seen.count + #changes / 2
    seen.order = math.max(seen.order, order)
    seen.first_end = math.min(seen.first_end, ends_at)
    seen.first_login = math.min(seen.first_login, record.created)
    seen.latest_ms = math.max(seen.latest_ms, record.created, now * 1000)
    seen.online_until = math.max(seen.online_until, last_end(record))
    settle_at_a_glance(seen, changes)
    return {'OK', described(session_id)}
end

-- All other logins.
--@include repeats
--@include subject

load()
local kind = device_type({device = device_record})
local function answer(status, replaced)
    local is_refused = status == 'REFUSED'
    return {
        status, described(session_id), replaced or {},
        is_refused and redis.call('HGETALL', KEY) or {},
        is_refused and ACTIVITY and redis.call('HGETALL', ACTIVITY) or {},
    }
end

if fields[session_id] then
    redis.call('HSET', KEY, session_id, fields[session_id]) -- a write for WAIT to wait for
    return answer('OK')
end
if absolute_seconds == 0 or repeated() then
    if absolute_seconds == 0 then
        remember(0, {})
    end
    settle()
    return answer('SPENT')
end
if read_bans()[''] then
    settle()
    return answer('BANNED')
end
if ARGV[13] ~= '' and generation() > tonumber(ARGV[13])
    or opened_ms and (opened_ms < cutoff or opened_ms <= kind_generation(kind)) then
    settle()
    return answer('OVERTAKEN')
end

local live = live_sessions()
local function is_older(a, b)
    local first, second = login_order(a.record), login_order(b.record)
    return first < second or (first == second and a.id < b.id)
end
table.sort(live, is_older)
local latest = live[#live]
local record, order = new_record(
    opened_ms and math.min(opened_ms, now_ms)
        or math.max(now_ms, cutoff, generation() + 1, kind_generation(kind) + 1),
    latest and login_order(latest.record) or 0)

local leaving, staying, acting = {}, {}, {}
for _, session in ipairs(live) do
    if session.id == ARGV[12] then
        leaving[#leaving + 1] = session
    elseif has_flag(session.record, IMPERSONATED) then
        acting[#acting + 1] = session
    else
        staying[#staying + 1] = session
    end
end
if has_flag(record, IMPERSONATED) then
    for index = 1, #acting + 1 - MOST_IMPERSONATIONS do
        leaving[#leaving + 1] = acting[index]
    end
else
    if ARGV[11] == 'least_recently_used' then
        table.sort(staying, function(a, b)
            local first, second = a.record.active, b.record.active
            return first < second or (first == second and is_older(a, b))
        end)
    end
    local most, most_alike = tonumber(ARGV[9]), tonumber(ARGV[10])
    local alike, newer, newer_alike = 1, 0, 0
    for _, session in ipairs(staying) do
        local is_alike = device_type(session.record) == kind
        local is_newer = login_order(session.record) > order
        alike = alike + (is_alike and 1 or 0)
        newer = newer + (is_newer and 1 or 0)
        newer_alike = newer_alike + (is_alike and is_newer and 1 or 0)
    end
    local surplus_alike = most_alike > 0 and alike - most_alike or 0
    local surplus = #staying + 1 - most
    if opened_ms and ARGV[11] == 'oldest' -- it would be the oldest of too many
        and (newer >= most or (most_alike > 0 and newer_alike >= most_alike)) then
        settle()
        return answer('OVERTAKEN')
    end
    if ARGV[11] == 'refuse' and math.max(surplus, surplus_alike) > 0 then
        settle()
        return answer('REFUSED')
    end
    if ARGV[11] == 'least_recently_used' and not ACTIVITY
        and math.max(surplus, surplus_alike) > 0 then
        return redis.error_reply(ACTIVITY_UNKNOWN)
    end
    for _, session in ipairs(staying) do
        if surplus_alike > 0 and device_type(session.record) == kind then
            leaving[#leaving + 1] = session
            session.leaves = true
            surplus_alike, surplus = surplus_alike - 1, surplus - 1
        end
    end
    for _, session in ipairs(staying) do
        if surplus > 0 and not session.leaves then
            leaving[#leaving + 1] = session
            surplus = surplus - 1
        end
    end
end

end_sessions(leaving, REPLACED, ARGV[14], ARGV[17])
if ARGV[8] ~= '' then
    put(details_field(session_id), ARGV[8])
end
put(session_id, pack_live(record))
remember(0, {})
note(tonumber(ARGV[15]), session_id, now, 1, ARGV[14], ARGV[16])
settle()
return answer('OK', session_ids(leaving))
