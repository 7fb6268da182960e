"""The HELLO reply: accepted, retried, refused, or RESP2 only."""

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.handshake import judge_greeting, judge_plain_greeting


def test_a_node_that_lets_us_in():
    assert judge_greeting({b"server": b"valkey"}) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServerError("LOADING", "is loading the dataset in memory"), "loading"),
        (ServerError("ERR", "max number of clients reached"), "busy"),
        (ServerError("ERR", "max number of clients + cluster connections reached"), "busy"),
    ],
)
def test_a_node_that_cannot_let_us_in_now(error, kind):
    assert judge_greeting(error) == Fault(kind)


NO_PASSWORD = "HELLO must be called with the client already authenticated, otherwise ..."


def test_a_node_that_refuses_the_user():
    for error in (ServerError("WRONGPASS", "invalid pair"), ServerError("NOAUTH", NO_PASSWORD)):
        with pytest.raises(StoreDenied):
            judge_greeting(error)
    for code in ("WRONGPASS", "NOAUTH", "ERR"):
        with pytest.raises(StoreDenied):
            judge_plain_greeting([ServerError(code, ""), b"OK"])
    with pytest.raises(StoreDenied):
        judge_plain_greeting([ServerError("NOAUTH", "Authentication required.")])
    with pytest.raises(StoreFailed, match="DENIED"):
        judge_plain_greeting([ServerError("DENIED", "Redis is running in protected mode")])


@pytest.mark.parametrize(
    "error",
    [
        ServerError("ERR", "unknown command 'HELLO' \r\n"),
        ServerError("NOAUTH", "Authentication required."),
        ServerError("NOPROTO", "unsupported protocol version"),
        ServerError("NOPERM", "this user has no permissions to run the 'hello' command"),
    ],
)
def test_a_node_without_resp3_may_serve_resp2(error):
    refusal = judge_greeting(error)
    assert isinstance(refusal, ServerError)
    assert refusal.code == error.code
    assert refusal.message.startswith(error.message.strip())
    assert "HELLO 3" in refusal.message


@pytest.mark.parametrize("code", ["ERR", "NOPERM"])
def test_a_client_without_a_name_is_served(code):
    assert judge_plain_greeting([b"OK", ServerError(code, "no CLIENT here")]) is None
    assert judge_plain_greeting([ServerError(code, "no CLIENT here")]) is None


def test_a_plain_greeting_of_a_node_that_cannot_let_us_in_now():
    loading = ServerError("LOADING", "is loading the dataset in memory")
    assert judge_plain_greeting([loading, loading]) == Fault("loading")
    assert judge_plain_greeting([loading]) == Fault("loading")
