-- The generation: the millisecond in which all sessions of the subject were last ended. It tells
-- logins that began before that moment from later ones. A kind of device may have a generation
-- too, for the sessions that another issuer opened on it: a line of field 't' with the kind and the
-- milliseconds.
--
-- Needs    change_arguments, subject_hash
-- Gives    generation, raise_generation; kind_generation, raise_kind_generation, latest_generation
--@include change_arguments
--@include subject_hash

local MOST_KINDS = 16
local ANY_KIND = '*' -- no device has this kind

-- Milliseconds since the epoch; 0: all sessions were never ended at once.
local function generation()
    return tonumber(fields['g'] or '0')
end

local function raise_generation(at_ms)
    put('g', string.format('%.0f', math.max(generation() + 1, at_ms)))
end

-- The generations by kind, and the latest of them.
local function kind_generations()
    local known, latest = {}, 0
    for kind, at in string.gmatch(fields['t'] or '', '(%S+) (%d+)') do
        known[kind] = tonumber(at)
        latest = math.max(latest, known[kind])
    end
    return known, latest
end

-- The millisecond in which all sessions on devices of ``kind`` were last ended; 0: never.
local function kind_generation(kind)
    local known = kind_generations()
    return math.max(known[kind] or 0, known[ANY_KIND] or 0)
end

-- Where there are too many kinds, the one that was ended first counts for all others: it may refuse
-- too much, and never too little.
local function raise_kind_generation(kind, at_ms)
    local known, order, lines = kind_generations(), {}, {}
    known[kind] = math.max(known[kind] or 0, at_ms)
    for each, at in pairs(known) do
        if each ~= ANY_KIND then
            order[#order + 1] = {kind = each, at = at}
        end
    end
    table.sort(order, function(a, b)
        return a.at > b.at or (a.at == b.at and a.kind < b.kind)
    end)
    if #order > MOST_KINDS then
        local first = table.remove(order)
        known[ANY_KIND] = math.max(known[ANY_KIND] or 0, first.at)
    end
    if known[ANY_KIND] then
        order[#order + 1] = {kind = ANY_KIND, at = known[ANY_KIND]}
    end
    for index, each in ipairs(order) do
        lines[index] = string.format('%s %.0f', each.kind, each.at)
    end
    put('t', table.concat(lines, '\n'))
end

-- The latest generation, of all sessions or of a kind; 0: none is known.
local function latest_generation()
    local _, latest = kind_generations()
    return math.max(latest, generation())
end
