-- The time of a subject never goes back: it is at least the latest that its sessions have seen, also
-- when a server whose clock is behind takes over.
--
-- Needs    change_arguments, clock, generation, record, sessions, subject_hash
-- Gives    keep_time_forward
--@include change_arguments
--@include clock
--@include generation
--@include record
--@include sessions
--@include subject_hash

-- Raise now_ms and now to the latest time in ``fields`` and ``activity``. A time further ahead than
-- clocks may be apart is an old mistake, and would stop the subject's time until it is reached.
local function keep_time_forward()
    local furthest = clock_ms + MOST_APART_MS
    local function see(ms)
        if ms > now_ms and ms <= furthest then
            now_ms = ms
        end
    end
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and is_live(value) then
            local record = read_live(name)
            see(record.created)
            see(record.active * 1000)
        elseif #name == SESSION_ID_BYTES and is_tombstone(value) then
            local ended_at = parse_tombstone(value)
            see(ended_at * 1000)
        end
    end
    see(latest_generation())
    now = math.floor(now_ms / 1000)
end
