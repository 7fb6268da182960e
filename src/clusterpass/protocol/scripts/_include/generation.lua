-- The generation: the millisecond in which all sessions of the subject were last ended. It tells a
-- login that began before that from one that began after.
--
-- Needs    arguments, fields
-- Gives    generation, raise_generation
--@include arguments
--@include fields

-- Milliseconds since the epoch; 0: all sessions were never ended at once.
local function generation()
    return tonumber(fields['g'] or '0')
end

local function raise_generation(at_ms)
    put('g', string.format('%.0f', math.max(generation() + 1, at_ms)))
end
