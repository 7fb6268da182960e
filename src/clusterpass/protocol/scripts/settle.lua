#!lua
-- Remove what has ended of a subject, and bring the index up to date.
--
-- KEYS     1 sessions   2 online index (may be missing)
-- ARGV     1 see subject
-- Returns  the number of live sessions
--@include record
--@include subject

load()
return settle()
