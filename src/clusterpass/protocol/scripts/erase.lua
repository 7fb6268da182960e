#!lua flags=allow-oom
-- Erase what the store knows about a subject, except live sessions: history, live claims, notes,
-- and the kinds of its devices. Bans stay, and so do the tombstones and the generation: without
-- these, a revoked token might be accepted again.
--
-- KEYS     see change_arguments
-- ARGV     1 see change_arguments
-- Returns  the number of live sessions
--
-- A repeated operation erases nothing that came after its first run. Call this script only after
-- all sessions were ended: the generation then also stands for those of all kinds of devices.
--@include repeats
--@include subject

load()
if not repeated() then
    for name, value in pairs(fields) do
        if #name == SESSION_ID_BYTES and is_tombstone(value) then
            local ended_at, keep_until = parse_tombstone(value)
            local reason = string.byte(value, 2)
            put(name, struct.pack('>BBI4I4', 130, reason, ended_at, keep_until))
        elseif string.sub(name, 1, 1) == 'h' and #name <= 2 then
            drop(name)
        end
    end
    drop('c')
    drop('t')
    remember(0, {})
end
return settle()
