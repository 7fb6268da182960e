#!lua flags=no-writes
-- Read fields of a subject as a whole, not those of one session.
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
