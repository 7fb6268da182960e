#!lua flags=allow-oom
-- Remove what has ended of a subject, and bring the online index up to date.
--
-- KEYS     see arguments
-- ARGV     1 see arguments
-- Returns  the number of live sessions
--@include subject

load()
return settle()
