#!lua flags=allow-oom
-- Remove what has ended of a subject, and bring the online index up to date.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments
-- Returns  the number of live sessions
--@include subject

load()
return settle()
