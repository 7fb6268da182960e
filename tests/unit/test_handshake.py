"""What the answer to a greeting means."""

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.handshake import judge_greeting


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


def test_a_node_that_refuses():
    with pytest.raises(StoreDenied):
        judge_greeting(ServerError("WRONGPASS", "invalid username-password pair"))
    with pytest.raises(StoreFailed, match="RESP3"):
        judge_greeting(ServerError("ERR", "unknown command 'HELLO'"))
