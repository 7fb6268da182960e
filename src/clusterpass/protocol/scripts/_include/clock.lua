-- The server's clock: one clock judges every session of a subject.
--
-- Needs    nothing
-- Gives    now_milliseconds()

-- Milliseconds since the epoch, and which 32nd of that millisecond it is.
local function now_milliseconds()
    local time = redis.call('TIME')
    local microseconds = tonumber(time[2])
    return tonumber(time[1]) * 1000 + math.floor(microseconds / 1000),
        math.floor(microseconds % 1000 * 32 / 1000)
end
