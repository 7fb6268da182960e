"""Asks a node which commands a user may run, and judges nothing."""

from collections.abc import Mapping
from typing import Final

from clusterpass.config import Durability
from clusterpass.doctor.node_connection import NodeConnection
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.acl import (
    ALWAYS,
    FOR_AUDIT,
    FOR_FSYNC,
    FOR_LIMITS,
    FOR_SWITCHING,
    FOR_TELLING,
    FOR_USERS,
    TOO_WIDE,
)
from clusterpass.store.missing_commands import refused_command
from clusterpass.store.outcomes import ServerError

_JUDGE_RIGHTS: Final = b"""
if not redis.acl_check_cmd then return false end
local allowed = {}
for index, call in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(call, '%S+') do words[#words + 1] = word end
  local known, answer = pcall(redis.acl_check_cmd, unpack(words))
  allowed[index] = (known and answer) and 1 or 0
end
return allowed
"""


def needed_commands(durability: Durability) -> dict[str, str]:
    """Return what a service may have to call, by command."""
    needed = {**ALWAYS, **FOR_USERS, **FOR_LIMITS, **FOR_TELLING, **FOR_SWITCHING, **FOR_AUDIT}
    return {**needed, **FOR_FSYNC} if durability == "fsync" else needed


def see_rights(
    node: NodeConnection, keyspace: Keyspace, needed: Mapping[str, str], user: str | None
) -> set[str] | None:
    """Return the commands of interest that a user may run; None if the server does not tell.

    ``needed``: what :func:`needed_commands` returns. ``user``: None for that of the connection.
    """
    commands = {**needed, **TOO_WIDE}
    channel = keyspace.channel().decode()
    calls = [
        call.format(key=_key(keyspace, name), channel=channel) for name, call in commands.items()
    ]
    if user is not None:
        replies = node.ask_together(*(("ACL", "DRYRUN", user, *call.split()) for call in calls))
        if isinstance(replies[0], ServerError):
            # A user that does not exist may run nothing.
            return set() if "not found" in replies[0].message else None
        return {each for each, reply in zip(commands, replies, strict=True) if reply == b"OK"}
    answers = node.ask("EVAL", _JUDGE_RIGHTS, 0, *calls)
    if isinstance(answers, ServerError):
        # Where EVAL is forbidden or missing, at least that is lacking.
        lacks_eval = answers.code == "NOPERM" or refused_command(answers) == "EVAL"
        return needed.keys() - {"eval"} if lacks_eval else None
    if not isinstance(answers, list):
        return None  # older than Redis 7.0
    return {each for each, allowed in zip(commands, answers, strict=True) if allowed}


def _key(keyspace: Keyspace, command: str) -> str:
    """A key of ClusterPass on which ``command`` is used."""
    if command.startswith("x"):
        return keyspace.audit(0).decode()
    if command.startswith("z"):
        return keyspace.online(0).decode()
    if command in {"get", "set"}:
        return keyspace.not_before(0).decode()
    if command in {"incr", "ttl", "expire"}:
        return keyspace.attempts_by_account("doctor").decode()
    return keyspace.sessions("doctor").decode()
