-- The bans of the subject: field 'b' is JSON, scope to {l level, u until (0: for good), r reason,
-- a banned at}. The scope '' is a ban from everything.
--
-- Needs    change_arguments, subject_hash
-- Gives    read_bans, write_bans, drop_ended_bans
--@include change_arguments
--@include subject_hash

local function read_bans()
    return fields['b'] and cjson.decode(fields['b']) or {}
end

local function write_bans(bans)
    if next(bans) then
        put('b', cjson.encode(bans))
    else
        drop('b')
    end
end

local function drop_ended_bans()
    if not fields['b'] then
        return
    end
    local bans, ended = read_bans(), false
    for scope, ban in pairs(bans) do
        if ban.u > 0 and ban.u <= now then
            bans[scope], ended = nil, true
        end
    end
    if ended then
        write_bans(bans)
    end
end
