#!lua flags=no-writes
-- Read fields that belong to the subject, not to one session.
--
-- KEYS     1 sessions
-- ARGV     names of fields
-- Returns  {now in milliseconds, value or '', ...}
--@include clock

local answer = {(now_milliseconds())}
for index, value in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do
    answer[index + 1] = value or ''
end
return answer
