"""With which keys the doctor asks what a user may do."""

import pytest

from clusterpass.doctor.collect import DoctorOptions, _key, _needed
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
def test_each_command_is_asked_about_with_a_key_that_it_is_used_on(durability: str) -> None:
    for command in _needed(DoctorOptions(durability=durability)):
        first_letter = command[0] if command[0] in "zhx" else ""
        prefix = KINDS.get(command, KINDS.get(first_letter, KEYSPACE.sessions_prefix()))
        assert _key(KEYSPACE, command).encode().startswith(prefix), command
