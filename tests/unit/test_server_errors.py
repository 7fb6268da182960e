"""Classification of server errors and of redis-py exceptions."""

import ssl
from typing import Any

import pytest
from redis import exceptions

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.exchanges.server_errors import judge
from clusterpass.store.outcomes import Fault, ServerError, within
from clusterpass.store.wire.redis_py import (
    fault_of,
    server_error,
)
from clusterpass.store.wire.resp import Decoder

PASSING = {
    "TRYAGAIN": "moving",
    "CLUSTERDOWN": "cluster_down",
    "MASTERDOWN": "cluster_down",
    "READONLY": "moving",
    "UNBLOCKED": "moving",
    "LOADING": "loading",
    "BUSY": "busy",
    "NOREPLICAS": "busy",
    "MISCONF": "full",
    "MOVED": "moving",
    "ASK": "moving",
}


@pytest.mark.parametrize("code", PASSING)
def test_what_passes(code: str) -> None:
    assert judge(ServerError(code, "whatever")) == Fault(PASSING[code])  # type: ignore[arg-type]


def test_a_key_that_left_during_the_script_passes() -> None:
    message = "Script attempted to access a non local key in a cluster node"
    assert judge(ServerError("ERR", message)) == Fault("moving")


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("NOAUTH", "Authentication required.", "noauth"),
        ("WRONGPASS", "invalid username-password pair", "wrongpass"),
        ("NOPERM", "this user has no permissions", "noperm"),
        ("ACL", "failure in script", "acl"),
        ("ERR", "ACL failure in script", "err"),
        ("ERR", "Protocol error: unauthenticated multibulk length", "noauth"),
    ],
)
def test_what_is_denied(code: str, message: str, reason: str) -> None:
    with pytest.raises(StoreDenied) as caught:
        judge(ServerError(code, message))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("code", "message", "reason", "says"),
    [
        ("OOM", "command not allowed", "full", "out of memory"),
        ("CLOCK", "61000", "clock", "is 61 s ahead of"),
        ("CLOCK", "-61000", "clock", "is 61 s behind"),
    ],
)
def test_what_makes_the_store_unavailable(code: str, message: str, reason: str, says: str) -> None:
    with pytest.raises(StoreUnavailable, match=says) as caught:
        judge(ServerError(code, message))
    assert caught.value.reason == reason


def test_what_no_retry_cures_is_quoted_in_part() -> None:
    with pytest.raises(StoreFailed) as caught:
        judge(ServerError("WRONGTYPE", "x" * 201))
    assert str(caught.value).endswith(f"answered an error: WRONGTYPE {'x' * 200}")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (exceptions.TryAgainError, "TRYAGAIN"),
        (exceptions.ClusterDownError, "CLUSTERDOWN"),
        (exceptions.MasterDownError, "MASTERDOWN"),
        (exceptions.NoScriptError, "NOSCRIPT"),
        (exceptions.ReadOnlyError, "READONLY"),
        (exceptions.OutOfMemoryError, "OOM"),
        (exceptions.NoPermissionError, "NOPERM"),
    ],
)
def test_the_code_that_redis_py_cuts_off_is_put_back(kind: Any, code: str) -> None:
    assert server_error(kind("the message")) == ServerError(code, "the message")
    assert server_error(kind(f"{code} the message")) == ServerError(code, "the message")


@pytest.mark.parametrize(
    ("kind", "code"), [(exceptions.MovedError, "MOVED"), (exceptions.AskError, "ASK")]
)
def test_a_redirect_keeps_its_slot_and_its_address(kind: Any, code: str) -> None:
    assert server_error(kind("7 h:1")) == ServerError(code, "7 h:1")


def test_an_error_without_a_class_is_taken_apart() -> None:
    error = exceptions.ResponseError("BUSY a script is running")
    assert server_error(error) == ServerError("BUSY", "a script is running")
    assert server_error(exceptions.ResponseError("BUSY")) == ServerError("BUSY", "")


@pytest.mark.parametrize("text", ["unknown command 'WAIT'", "This instance has cluster support"])
def test_an_error_that_begins_with_no_code_has_lost_err(text: str) -> None:
    assert server_error(exceptions.ResponseError(text)) == ServerError("ERR", text)


@pytest.mark.parametrize(
    ("error", "kind", "is_stale"),
    [
        (exceptions.BusyLoadingError("x"), "loading", False),
        (exceptions.TimeoutError("x"), "timeout", False),
        (TimeoutError(), "timeout", False),
        (exceptions.ConnectionError("x"), "connection", True),
        (exceptions.InvalidResponse("x"), "connection", True),
        (OSError("x"), "connection", True),
    ],
)
def test_what_a_failure_of_a_connection_means(error: Any, kind: Any, is_stale: bool) -> None:
    assert fault_of(error, reused=True) == Fault(kind, stale=is_stale)
    assert fault_of(error, reused=False) == Fault(kind)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.AuthenticationError("x"),
        exceptions.ResponseError("NOAUTH x"),
        exceptions.ResponseError("WRONGPASS x"),
        exceptions.ResponseError("NOPERM x"),
    ],
)
def test_a_refused_user_is_denied(error: Exception) -> None:
    with pytest.raises(StoreDenied) as caught:
        fault_of(error, reused=True)
    assert caught.value.reason == "authentication"


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_a_refused_certificate_is_found_behind_other_errors(link: str) -> None:
    middle, outer = OSError("middle"), exceptions.ConnectionError("outer")
    setattr(middle, link, ssl.SSLCertVerificationError("not trusted"))
    setattr(outer, link, middle)
    with pytest.raises(StoreDenied, match="TLS certificate is not accepted") as caught:
        fault_of(outer, reused=False)
    assert caught.value.reason == "certificate"
    assert fault_of(middle.__class__("alone"), reused=False) == Fault("connection")


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(1.0, 250), (0.25, 225), (0.1, 90), (0.278, 250), (0.001, 1), (0.0, 1), (-1.0, 1)],
)
def test_a_wait_ends_before_the_caller_gives_up(seconds: float, milliseconds: int) -> None:
    assert within((b"WAIT", 1, 250), seconds) == (b"WAIT", 1, milliseconds)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"-ERR no \xff text\r\n", ServerError("ERR", "no \ufffd text")),
        (b"-MOVED 7 h:1\r\n", ServerError("MOVED", "7 h:1")),
        (b"-LOADING\r\n", ServerError("LOADING", "")),
    ],
)
def test_an_error_on_the_wire_is_taken_apart(line: bytes, error: ServerError) -> None:
    decoder = Decoder()
    decoder.feed(line)
    assert decoder.next() == error


@pytest.mark.parametrize("command", ["WAIT", "WAITAOF"])
def test_a_primary_that_became_a_replica_before_the_wait_is_asked_for_again(command: str) -> None:
    """An ordered failover may come between the commands of one batch."""
    message = f"{command} cannot be used with replica instances. Please also note that ..."
    assert judge(ServerError("ERR", message)) == Fault("moving", cause="read_only")
