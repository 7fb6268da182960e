-- The scores in the online index, which is a sorted set for each slot.
--
-- Needs    nothing
-- Gives    PER_SUBJECT, FIRST_SCORE

-- The score of a subject: the second in which its last session ends * PER_SUBJECT + its sessions.
local PER_SUBJECT = 512
-- Every subject's score is higher; below is the total of the sessions, under the member ''.
local FIRST_SCORE = 1e11
