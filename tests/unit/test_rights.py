"""The rights that are documented, looked at by the doctor, and used: the same."""

import re
from importlib.resources import files
from pathlib import Path

from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.acl import (
    ALWAYS,
    DEGRADING,
    DEGRADING_ALONE,
    FOR_AUDIT,
    FOR_FSYNC,
    FOR_LIMITS,
    FOR_SWITCHING,
    FOR_TELLING,
    FOR_USERS,
    OF_CLUSTERS,
    TOO_WIDE,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "library.md"


OPTIONAL = {**FOR_LIMITS, **FOR_TELLING, **FOR_SWITCHING, **FOR_AUDIT}


def test_the_documented_rights_are_those_that_are_looked_at():
    text = REFERENCE.read_text("utf-8")
    block = re.search(r"^```acl\n(.*?)^```", text, re.M | re.S)
    assert block
    documented = [word.removeprefix("+") for word in block[1].split() if word.startswith("+")]
    assert sorted(documented) == sorted([*ALWAYS, *FOR_USERS, *OPTIONAL])
    assert "&cp:*" in block[1].split()
    assert Keyspace().channel().startswith(b"cp:")
    for command in FOR_FSYNC:
        assert f"`+{command}`" in text


def test_what_scripts_call_is_among_them():
    folder = files("clusterpass.protocol") / "scripts"
    called = {
        f"cluster|{argument.lower()}" if name == "CLUSTER" else name.lower()
        for path in Path(str(folder)).rglob("*.lua")
        for name, argument in re.findall(
            r"redis\.p?call\(\s*'(\w+)'(?:, '(\w*)')?", path.read_text()
        )
    }
    assert len(called) > 15
    assert called <= ALWAYS.keys() | {"publish", *FOR_AUDIT}, "whose refusal is put up with"


def test_nothing_that_is_needed_is_called_too_wide():
    assert not TOO_WIDE.keys() & {*ALWAYS, *FOR_USERS, *OPTIONAL, *FOR_FSYNC}


def test_a_sample_is_a_call_of_its_command():
    for commands in (ALWAYS, FOR_USERS, OPTIONAL, FOR_FSYNC, TOO_WIDE):
        for name, sample in commands.items():
            assert f"{sample} ".startswith(f"{name.replace('|', ' ')} ")


def test_what_may_be_lacking_is_among_what_is_looked_at():
    assert {*DEGRADING_ALONE, *OF_CLUSTERS} <= {*ALWAYS, *FOR_USERS, *OPTIONAL}
    assert {"hello", "client|tracking", "client|setname"} <= DEGRADING
