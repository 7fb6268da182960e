"""Server errors that name a missing command or right, and the messages about them."""

import logging

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.acl import ALWAYS, FOR_FSYNC, FOR_LIMITS, FOR_SWITCHING, FOR_USERS
from clusterpass.store.address import Address
from clusterpass.store.exchanges.server_errors import judge
from clusterpass.store.exchanges.unavailable import tell_tried
from clusterpass.store.missing_commands import (
    LEFT_UNDONE,
    REPLICAS_UNKNOWN,
    Missing,
    refused_command,
)
from clusterpass.store.outcomes import Fault, ServerError, read_connected

A, B = Address("10.0.0.1", 7000), Address("10.0.0.2", 7000)
NO_TRACKING = ServerError(
    "NOPERM", "User app has no permissions to run the 'client|tracking' command"
)


@pytest.mark.parametrize(
    ("code", "message", "command"),
    [
        ("ERR", "unknown command 'WAIT', with args beginning with: '1' '250' ", "WAIT"),
        ("ERR", "unknown command `EVALSHA`, with args beginning with: `a`, `1`, ", "EVALSHA"),
        ("ERR", "unknown command 'HELLO' (pushes need HELLO 3)", "HELLO"),
        ("NOPERM", "User a has no permissions to run the 'evalsha' command", "EVALSHA"),
        ("NOPERM", "this user has no permissions to run the 'eval' command or its", "EVAL"),
        ("NOPERM", NO_TRACKING.message, "CLIENT TRACKING"),
        (
            "ERR",
            "ACL failure in script: User a has no permissions to run the 'hset' command",
            "HSET",
        ),
        ("ERR", "unknown subcommand 'TRACKING'. Try CLIENT HELP.", "CLIENT TRACKING"),
        (
            "ERR",
            "Unknown subcommand or wrong number of arguments for 'INFO'. Try CLUSTER HELP.",
            "CLUSTER INFO",
        ),
        ("ERR", "value is not an integer or out of range", None),
        ("NOPERM", "No permissions to access a key", None),
    ],
)
def test_the_command_that_an_error_names(code: str, message: str, command: str | None):
    assert refused_command(ServerError(code, message)) == command


def test_a_missing_command_is_named_and_nothing_of_its_arguments_is_shown():
    with pytest.raises(StoreFailed, match="lacks EVALSHA") as failure:
        judge(ServerError("ERR", "unknown command 'EVALSHA', with args beginning with: 'cp:{al}'"))
    assert "cp:" not in failure.value.message


def test_a_missing_right_is_named_by_the_message_and_for_operators():
    with pytest.raises(StoreDenied, match="may not run HSET") as failure:
        judge(
            ServerError(
                "ERR", "ACL failure in script: x has no permissions to run the 'hset' command"
            )
        )
    assert "HSET" in failure.value.describe()


def test_a_server_that_is_too_old_for_flags_is_told_as_such():
    message = "Error compiling script (new function): user_script:1: unexpected symbol near '#'"
    with pytest.raises(StoreFailed, match=r"older than Redis 7\.0"):
        judge(ServerError("ERR", message))


def test_a_right_that_only_scripts_miss_is_left_to_the_doctor():
    said = "The user executing the script can't run this command or subcommand script: abc"
    with pytest.raises(StoreDenied, match="clusterpass doctor names it") as caught:
        judge(ServerError("ERR", said))
    assert caught.value.cause == "rights"


@pytest.mark.parametrize("what", ["Redis command", "Server command", "command"])
def test_a_command_that_only_scripts_miss_is_left_to_the_doctor(what: str):
    with pytest.raises(StoreFailed, match="clusterpass doctor"):
        judge(ServerError("ERR", f"Unknown {what} called from script script: abc, on @user_script"))


def test_each_command_is_told_once_and_shown_while_it_is_missing(caplog):
    missing = Missing()
    with caplog.at_level(logging.WARNING, "clusterpass.store"):
        assert missing.note(A, NO_TRACKING)
        assert missing.note(B, NO_TRACKING)
    assert len(caplog.records) == 1
    assert missing.told() == (f"CLIENT TRACKING: {LEFT_UNDONE['CLIENT TRACKING']}",)
    missing.settle(A, "CLIENT TRACKING")
    assert missing.told()
    missing.settle(B, "HELLO", "CLIENT TRACKING")
    assert missing.told() == ()
    with caplog.at_level(logging.WARNING, "clusterpass.store"):
        missing.note(A, NO_TRACKING)
    assert len(caplog.records) == 1
    assert missing.told()


def test_what_leaves_nothing_undone_is_not_noted():
    missing = Missing()
    assert not missing.note(A, ServerError("ERR", "unknown command 'SAVE'"))
    assert not missing.note(A, ServerError("LOADING", "loading the dataset in memory"))
    assert missing.told() == ()


def test_whether_replicas_can_be_counted():
    missing = Missing()
    assert not missing.lacks_count
    missing.tell(A, "INFO", REPLICAS_UNKNOWN)
    assert missing.lacks_count
    missing.settle(A, "INFO")
    assert not missing.lacks_count


def test_what_is_left_undone_is_known_of_commands_that_are_used():
    used = {*ALWAYS, *FOR_USERS, *FOR_LIMITS, *FOR_SWITCHING, *FOR_FSYNC}
    containers = {name.partition("|")[0] for name in used}
    assert {name.lower().replace(" ", "|") for name in LEFT_UNDONE} <= used | containers


@pytest.mark.parametrize(
    ("info", "count"),
    [
        (b"# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=x\r\n", 2),
        (b"role:master\r\nconnected_slaves:0\r\n", 0),
        (b"role:master\r\n", None),
        (ServerError("NOPERM", "no"), None),
    ],
)
def test_replicas_in_info(info: object, count: int | None):
    assert read_connected(info) == count


def test_who_was_asked_in_vain_is_told_to_operators():
    error = StoreUnavailable(reason="timeout", cause="timed_out", node="x:1")
    tell_tried(error, {B: Fault("timeout"), A: Fault("connection", cause="refused")})
    tried = error.tried
    assert tried == (
        "10.0.0.1:7000: the connection was refused",
        "10.0.0.2:7000: no answer in time",
    )
    assert error.describe().startswith("x:1: no answer in time; asked in vain who owns the slots")
    again = StoreUnavailable(*error.args)
    assert again.tried == tried
    assert error.to_dict()["tried"] == [*tried]
