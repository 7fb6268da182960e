"""The doctor's check of a user's ACL rights: the keys that it tries, and unknown results."""

from typing import Any

import pytest

from clusterpass.config import Durability
from clusterpass.doctor.see_rights import _key, needed_commands, see_rights
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.acl import TOO_WIDE
from clusterpass.store.outcomes import ServerError

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


class Node:
    """A node that answers what it is told to, and notes what it is asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def ask(self, *command: Any) -> Any:
        self.asked.append(command)
        return self.answers[0]

    def ask_together(self, *commands: Any) -> list[Any]:
        self.asked += commands
        return self.answers + [b"User may not"] * (len(commands) - len(self.answers))


NEEDED = {"get": "GET {key}", "publish": "PUBLISH {channel} x"}


def test_the_rights_of_a_user_are_tried() -> None:
    node: Any = Node(b"OK", b"This user may not")
    assert see_rights(node, KEYSPACE, NEEDED, "app") == {"get"}
    assert node.asked[0][:4] == ("ACL", "DRYRUN", "app", "GET")
    assert node.asked[1][:5] == ("ACL", "DRYRUN", "app", "PUBLISH", KEYSPACE.channel().decode())
    every: Any = Node(*[b"OK"] * (len(NEEDED) + len(TOO_WIDE)))
    told = see_rights(every, KEYSPACE, NEEDED, "app")
    assert told == {*NEEDED, *TOO_WIDE}


@pytest.mark.parametrize(
    ("error", "allowed"), [("User 'app' not found", set()), ("unknown subcommand", None)]
)
def test_the_rights_of_nobody_are_none_and_those_that_are_not_told_unknown(
    error: str, allowed: Any
) -> None:
    node: Any = Node(ServerError("ERR", error))
    assert see_rights(node, KEYSPACE, NEEDED, "app") == allowed


def test_a_user_s_own_rights_are_told_by_a_script() -> None:
    node: Any = Node([0, 1])
    node.answers[0] += [0] * len(TOO_WIDE)
    assert see_rights(node, KEYSPACE, NEEDED, None) == {"publish"}
    (command,) = node.asked
    assert (command[0], command[2]) == ("EVAL", 0)
    assert len(command) == 3 + len(NEEDED) + len(TOO_WIDE)
    old: Any = Node(None)
    assert see_rights(old, KEYSPACE, NEEDED, None) is None


def test_only_writes_to_disk_need_to_be_waited_for() -> None:
    usual, on_disk = needed_commands("replicated").keys(), needed_commands("fsync").keys()
    assert usual < on_disk
    assert on_disk - usual == {"waitaof"}
