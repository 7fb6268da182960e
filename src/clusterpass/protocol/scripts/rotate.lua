#!lua
-- Exchange a refresh token for its one successor.
--
-- KEYS     1 sessions
-- ARGV     1 session id   2 digest presented   3 rotation presented   4 digest of the successor
-- Returns  {status, now in milliseconds, record or '', details or ''}
--          OK        the record now holds the successor
--          UNKNOWN   no such session
--          ENDED     the record is a tombstone
--          EXPIRED   past its absolute or idle limit
--          USED      the token was exchanged before
--          MISMATCH  the secret was never this session's
--
-- A repeated call (same successor) changes nothing and answers OK.
--@include record

local now_ms = now_milliseconds()
local now = math.floor(now_ms / 1000)
local session_id, presented, rotation, successor = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local value = redis.call('HGET', KEYS[1], session_id)
if not value then
    return {'UNKNOWN', now_ms, '', ''}
end
if is_tombstone(value) then
    return {'ENDED', now_ms, value, ''}
end
local record = parse_live(value)
if live_ends_at(record) <= now then
    return {'EXPIRED', now_ms, '', ''}
end
if record.digest ~= successor or record.rotation ~= rotation + 1 then
    if record.digest ~= presented or record.rotation ~= rotation then
        return {rotation < record.rotation and 'USED' or 'MISMATCH', now_ms, '', ''}
    end
    record.digest, record.rotation, record.refreshed = successor, rotation + 1, now
    value = pack_live(record)
end
redis.call('HSET', KEYS[1], session_id, value)
redis.call('EXPIREAT', KEYS[1], live_ends_at(record), 'GT')
return {'OK', now_ms, value, read_details(KEYS[1], session_id, record.flags)}
