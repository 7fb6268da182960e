"""With which keys the doctor asks what a user may do."""

import pytest

from clusterpass.config import Durability
from clusterpass.doctor.see_rights import _key, needed_commands
from clusterpass.protocol.keyspace import Keyspace

KEYSPACE = Keyspace("app")
KINDS = {
    "z": KEYSPACE.online_before_tag(),
    "get": KEYSPACE.not_before_prefix(),
    "set": KEYSPACE.not_before_prefix(),
    "incr": b"app:attempts-account:{",
    "ttl": b"app:attempts-account:{",
    "expire": b"app:attempts-account:{",
    "x": b"app:audit:{",
    "h": KEYSPACE.sessions_prefix(),
}


@pytest.mark.parametrize("durability", ["replicated", "fsync"])
def test_each_command_is_asked_about_with_a_key_that_it_is_used_on(durability: Durability) -> None:
    for command in needed_commands(durability):
        first_letter = command[0] if command[0] in "zhx" else ""
        prefix = KINDS.get(command, KINDS.get(first_letter, KEYSPACE.sessions_prefix()))
        assert _key(KEYSPACE, command).encode().startswith(prefix), command
