#!lua flags=allow-oom
-- Remove what has ended of a subject, and bring the index up to date.
--
-- KEYS     see subject
-- ARGV     1 see subject
-- Returns  the number of live sessions
--@include record
--@include subject

load()
return settle()
