-- The time by which a call is judged: that of the server's clock, unless it is too far from the
-- time that the caller sends along. So sessions survive a server whose clock is wrong.
--
-- Only in a namespace for tests may the caller set the time (is_agreed 2).
--
-- Needs    nothing
-- Gives    now_milliseconds, judged_milliseconds, clocks_differ, on_server_clock; MOST_APART_MS
--
-- The limits are those of clusterpass/limits.py.
local TOLERATED_MS, MOST_APART_MS = 5000, 600000
local TEST_NAMESPACE = 'cp-test-'

-- Milliseconds since the epoch, and which 32nd of that millisecond it is, by the server's clock.
local function now_milliseconds()
    local time = redis.call('TIME')
    local microseconds = tonumber(time[2])
    return tonumber(time[1]) * 1000 + math.floor(microseconds / 1000),
        math.floor(microseconds % 1000 * 32 / 1000)
end

-- The time by which the call is judged, as now_milliseconds has it, and the server's own. ``called``:
-- milliseconds at which the call was made (0: not told); ``is_agreed``: 1 where most primaries
-- agree with that. Then the server's clock counts within the tolerance around it. Where nobody
-- knows which clock is wrong, and they are too far apart, the first result is nil; so it is where
-- the caller sets the time and may not.
local function judged_milliseconds(called, is_agreed)
    local server, part = now_milliseconds()
    if is_agreed == 2 then
        local is_test = string.sub(KEYS[1], 1, #TEST_NAMESPACE) == TEST_NAMESPACE
        return is_test and called or nil, part, server
    end
    local ahead = server - called
    local most = is_agreed == 1 and TOLERATED_MS or MOST_APART_MS
    if called == 0 or math.abs(ahead) <= most then
        return server, part, server
    end
    if is_agreed == 0 then
        return nil, part, server
    end
    return called + (ahead > 0 and most or -most), part, server
end

-- The error for a call that cannot be judged; ``ahead``: of the caller, in milliseconds.
local function clocks_differ(ahead)
    return redis.error_reply(string.format('CLOCK %.0f', ahead))
end

-- The second of the server's clock in which the second ``at`` has surely come, where it is now
-- ``now``. A server that is ahead must not expire a key early; one that is behind may expire it
-- late, as its clock may be put right before.
local function on_server_clock(at, now, server_ms)
    return at + math.max(0, math.floor(server_ms / 1000) - now)
end
