#!lua flags=no-writes
-- Read the counters of the tokens of all other issuers.
--
-- KEYS     1 counters of all issuers
-- ARGV     none
-- Returns  {name of an issuer and ':' and the name of a counter, value, ...}

return redis.call('HGETALL', KEYS[1])
