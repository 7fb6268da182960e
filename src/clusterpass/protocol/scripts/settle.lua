#!lua flags=allow-oom
-- Drop whatever of a subject has ended or expired, and bring the online index up to date.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments
-- Returns  the number of live sessions
--@include subject

load()
return settle()
