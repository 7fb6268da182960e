"""What is read of the keys and secrets in the store, copy by copy."""

import time
from typing import Any

import pytest

from clusterpass import StoreUnavailable
from clusterpass.doctor.see_secrets import see_secrets
from clusterpass.doctor.stored_secrets import SecretSettings, describe_secrets
from clusterpass.protocol.calls.secrets import COPIES
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory.known_keys import KIND

KEYSPACE, SETTINGS = Keyspace("app"), SecretSettings(token_seconds=900)
HELD = {f"{KIND}kid": b"not readable"}


class Store:
    """A store of which some copies cannot be read."""

    keyspace = KEYSPACE

    def __init__(self, *missing: int) -> None:
        self.missing = missing
        self.asked: list[Any] = []

    def run(self, flow: Any) -> Any:
        try:
            call = next(flow)
            while True:
                self.asked.append((call.script.name, call.keys))
                if len(self.asked) - 1 in self.missing:
                    call = flow.throw(StoreUnavailable())
                else:
                    call = flow.send(Answer(HELD, durable=True))
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("missing", [(), (0,), (0, 2)])
def test_each_copy_is_read_and_one_is_enough(missing: tuple[int, ...]) -> None:
    store: Any = Store(*missing)
    seen = see_secrets(store, SETTINGS)
    slots = [SLOTS_WITH_CUTOFF[copy % COPIES] for copy in range(COPIES)]
    assert store.asked == [("read_secrets", (KEYSPACE.secrets(slot),)) for slot in slots]
    (node,) = seen.nodes
    of_one = tuple(describe_secrets(HELD, "app", SETTINGS))
    assert of_one != ()
    assert node.secrets == of_one * (COPIES - len(missing))
    assert seen.secret_settings is SETTINGS
    assert 0 <= time.time() - seen.taken_at < 60


def test_where_no_copy_can_be_read() -> None:
    store: Any = Store(*range(COPIES))
    with pytest.raises(StoreUnavailable):
        see_secrets(store, SETTINGS)
    assert len(store.asked) == COPIES
