"""Fingerprints of requests differ with all that decides what is done, and with nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clusterpass.protocol.calls import (
    end as end_calls,
    fingerprints,
    subject as subject_calls,
)
from clusterpass.protocol.calls.fingerprints import fingerprint
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall
from tests import golden

KEYSPACE = Keyspace()
OPERATION = b"operates"
Request = tuple[Callable[..., ScriptCall[Any]], dict[str, Any]]
REQUESTS: dict[str, Request] = {
    "end_session": (
        end_calls.end_session,
        {"session_id": b"1" * 16, "reason": "revoked", "note": "n"},
    ),
    "end_all": (
        end_calls.end_all,
        {"keep": None, "reason": "revoked", "device_type": None, "note": "n"},
    ),
    "end_all of a type": (
        end_calls.end_all,
        {"keep": b"1" * 16, "reason": "revoked", "device_type": "phone", "note": "m"},
    ),
    "ban": (
        subject_calls.ban,
        {"scope": "chat", "level": 2, "seconds": 60, "reason": "n"},
    ),
    "unban": (subject_calls.unban, {"scope": "chat"}),
    "erase": (subject_calls.erase, {}),
    "set_claims": (subject_calls.set_claims, {"claims": b'{"plan":"gold"}'}),
}
OTHERS: dict[str, dict[str, list[Any]]] = {
    "end_session": {
        "session_id": [b"2" * 16],
        "reason": ["logged_out", "banned"],
        "note": ["", "N", "n" * 100, "n" * 101],
    },
    "end_all": {
        "keep": [b"1" * 16, b"2" * 16],
        "reason": ["banned"],
        "device_type": ["phone", "*", ""],
        "note": ["", "N", "n" * 100, "n" * 101],
    },
    "end_all of a type": {"keep": [None, b"2" * 16], "device_type": [None, "web"]},
    "ban": {
        "scope": ["", "chat:*"],
        "level": [1, 20],
        "seconds": [0, 61],
        "reason": ["", "N", "n" * 100, "n" * 101],
    },
    "unban": {"scope": ["", "chat:*"]},
    "set_claims": {"claims": [b"", b'{"plan":"silver"}']},
}
IRRELEVANT: dict[str, dict[str, Any]] = {
    "end_session": {"address": b"\x7f\x00\x00\x01"},
    "end_all": {"address": b"\x7f\x00\x00\x01", "up_to": 1_800_000_000_000},
    "end_all of a type": {"up_to": 1_800_000_000_000},
    "ban": {"begins": 1_800_000_000_000},
}


def sent(
    name: str, *, subject: str = "alice", keeping: Housekeeping | None = None, **other: Any
) -> bytes:
    """The fingerprint in the first argument of the call."""
    make, arguments = REQUESTS[name]
    call = make(
        KEYSPACE,
        keeping or Housekeeping(60),
        subject,
        **{**arguments, **other},
        operation=OPERATION,
    )
    first = call.arguments[0]
    assert isinstance(first, bytes)
    assert (first[15:23], first[46:]) == (OPERATION, subject.encode())
    return first[23:31]


def test_no_two_requests_have_the_same_one() -> None:
    found = [sent(name, subject=subject) for name in REQUESTS for subject in ("alice", "alic", "")]
    found += [
        sent(name, **{argument: value})
        for name, arguments in OTHERS.items()
        for argument, values in arguments.items()
        for value in values
    ]
    assert len(found) > 40
    assert len(set(found)) == len(found)
    assert fingerprints.NO_FINGERPRINT not in found


@pytest.mark.parametrize("name", IRRELEVANT)
def test_what_decides_nothing_does_not_matter(name: str) -> None:
    assert sent(name, **IRRELEVANT[name]) == sent(name)
    assert sent(name, keeping=Housekeeping(9, 9, 9, 9, indexed=False)) == sent(name)


@pytest.mark.parametrize("name", REQUESTS)
def test_it_is_the_same_in_every_process_and_release(name: str) -> None:
    assert sent(name) == golden.FINGERPRINTS[name]


PARTS = st.lists(st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5))


@given(PARTS, PARTS)
def test_only_equal_parts_are_encoded_alike(one: list[Any], other: list[Any]) -> None:
    typed = [[(type(part), part) for part in parts] for parts in (one, other)]
    is_equal = fingerprint("verb", *one) == fingerprint("verb", *other)
    assert is_equal == (typed[0] == typed[1])


def test_parts_do_not_run_into_each_other() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc") != fingerprint("a", "b", "c")
    assert fingerprint("a", "", "b") != fingerprint("a", "b", "")
    assert fingerprint("a", "1") != fingerprint("a", 1) != fingerprint("a", b"1")
    assert fingerprint("a", None) != fingerprint("a", "") != fingerprint("a", b"")
